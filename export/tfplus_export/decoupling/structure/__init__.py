"""What of a model can be cut by class.

`flat` takes models within a model apart, `kinds` says which layers can be cut, `channels` follows
each filter through them and says which go together, `tail` finds the layers behind the cut.
"""
