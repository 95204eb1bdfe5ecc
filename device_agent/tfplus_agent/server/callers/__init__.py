"""Who calls, what they may, how many at once, and how long they may take."""
