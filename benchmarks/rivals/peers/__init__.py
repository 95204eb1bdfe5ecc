"""The programs that run under each system's own Python, and what they share (`driven`)."""
