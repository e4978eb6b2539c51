"""One file a task: its formats, labels, decoding and metrics."""
