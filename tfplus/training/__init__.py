"""The training loop, the same for the agent's worker and for the Python API; no I/O of its own.

`epoch` takes the steps of one pass over the samples in an order that a seed gives, `evaluation`
measures a model and `prediction` runs it on any number of samples. `stepping` says when the loss of
a step is read, `prefetch` puts the next batch together while a step runs, `scoring` and `losses`
judge what a model returns. All of them take a `tfplus.runtime.trainable_model.TrainableModel`.
"""
