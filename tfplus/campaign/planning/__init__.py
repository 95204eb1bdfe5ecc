"""What a campaign is to measure: its file, its cells, their order, and what they will take."""
