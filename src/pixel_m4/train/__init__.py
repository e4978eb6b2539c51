"""Composition around the Hugging Face Trainer."""
