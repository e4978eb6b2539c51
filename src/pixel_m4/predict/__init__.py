"""A saved model at work on streams of text, and its scores."""
