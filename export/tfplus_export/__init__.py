"""Everything that needs TensorFlow: from a Keras model to one file that trains on a device.

`pipeline` has the stages in order. A model comes from `sources`, `tracing` makes a graph of its
forward pass, `lowering` replays that graph with one rule an operation and walks it backwards for
the gradients, `losses`, `optimizers` and `train_step` make the step of it, `conversion` and
`passes` the flatbuffer, and `parity` trains it beside TensorFlow: a file that differs is not
written. `variants` are further graphs of the same step, for a GPU and for inference.
"""
