"""Fine-tuning of a task: arguments, splits, trainer, what a run leaves."""
