"""Thousands of short jobs on one agent, and whether anything of it grows.

`sampling` reads what the agent's processes hold, `growth` judges it; the script does the jobs.
"""
