"""What a user types: one command a file."""
