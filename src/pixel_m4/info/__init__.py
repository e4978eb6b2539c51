"""What a checkpoint is: sizes, cost, settings; and its export."""
