"""Sensors, one a file, over a root path; a sensor that is absent says why and is never zero."""
