"""Does an exported step compute what TensorFlow computes?

`parity.verify` asks, `policy` decides which check comes next, `comparison` takes it. `samples` has
the batches, `reference` TensorFlow's side, `candidate` the file's, `errors` what may lie between.
"""
