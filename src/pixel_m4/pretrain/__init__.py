"""Pretraining on blocks of text: arguments, trainer, held-out text, pictures."""
