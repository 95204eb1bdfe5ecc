"""What devices and links take, from what was measured on them.

`fit`: speeds and links from pairs of size and seconds; `calls`: how many products each measured
piece of a step has; `messages`: what a message takes within a step.
"""
