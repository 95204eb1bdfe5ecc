"""What a job may take, and what it took: gates by the sensors, budgets of time and energy."""
