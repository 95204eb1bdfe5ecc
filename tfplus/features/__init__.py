"""Activations of frozen layers, computed once a sample and kept on disk.

Where the first layers of a model do not train, what they make of a sample is the same in every
epoch. A file that was exported for it takes those activations, the *features*, and brings a graph
beside it that makes them of samples (`model_file.companion_graphs.FeatureGraph`).

`signature` tells what made features; `cache` keeps them: rows in `blocks`, found by `index`, which
is SQLite. `column` makes of a data set of samples one of features, which the training loop reads
like any other: nothing in it knows of the cache. `opening` puts these together.
"""
