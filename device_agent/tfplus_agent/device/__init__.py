"""The device at work: its loaded model, one training call, and the checkpoints behind both."""
