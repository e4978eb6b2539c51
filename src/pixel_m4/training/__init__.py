"""What fine-tuning and pretraining share: optimizers, whole checkpoints, records of runs, checks."""
