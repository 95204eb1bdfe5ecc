"""What runtimes and devices take, as the runtimes themselves were asked."""
