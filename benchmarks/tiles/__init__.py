"""The paper on tiles, and predictions of plans, held against processes of this machine."""
