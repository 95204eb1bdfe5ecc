"""The commands that train and use a file, and read and write its weights: here or on an agent."""
