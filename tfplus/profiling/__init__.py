"""What a step's time goes to: the runtime's own profiler, and the layers behind its events."""
