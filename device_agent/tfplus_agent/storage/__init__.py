"""What the agent keeps on disk: its state directory, models and checkpoints."""
