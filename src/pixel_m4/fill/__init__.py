"""Hidden text: what is hidden, what the decoder paints there, and how it reads."""
