"""What a file says of itself: of its step, and of the values that its inputs are made for."""
