"""The commands of the exporter: options, what is shown, and who does the work."""
