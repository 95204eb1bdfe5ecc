"""One sensor a file; `tfplus_agent.telemetry.sensors.registry` lists them."""
