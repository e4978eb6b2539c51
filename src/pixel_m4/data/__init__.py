"""From encodings to batches of tensors."""
