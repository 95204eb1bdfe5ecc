"""Who may use the device now: the one owner of that question."""
