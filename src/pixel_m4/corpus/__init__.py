"""Text for pretraining: files → documents → blocks → masked batches, with an exact state."""
