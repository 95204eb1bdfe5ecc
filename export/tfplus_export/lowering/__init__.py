"""Operation → (builtin forward, builtin gradient): one rule a file, one table.

To add an operation: write its rule in a file of its own, enter it in `table.py`, and give it a case
in `tests/export/lowering/test_rules.py`, where TensorFlow's own gradients judge it.
"""
