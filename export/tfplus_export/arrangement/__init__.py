"""The order in which a step's operators run, what runs twice, and the memory that this takes."""
