"""What a training step costs: memory, products, time."""
