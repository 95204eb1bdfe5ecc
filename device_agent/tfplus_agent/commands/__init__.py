"""What a user types on a device: one command a file."""
