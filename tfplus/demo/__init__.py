"""The demo: four devices on one machine that learn together."""
