"""What a checkpoint knows: vectors of texts layer by layer, and what can be asked of them."""
