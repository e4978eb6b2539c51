"""The pixel model: tensors in, tensors out."""
