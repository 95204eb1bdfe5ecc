"""`tfplus features`: its commands, what they exchange with the agent, and the page."""
