"""An exported file: a flatbuffer with a ZIP behind it that says what the file is.

A runtime reads the flatbuffer and ignores the rest. `artifact.read` reads and checks both, without
a runtime: `tfplus.json` is the manifest (`manifest`, read back by `manifest_reader`, which trusts
nothing), and further graphs for a GPU or for inference lie beside it (`companion_graphs`). Weights
have known offsets in the flatbuffer, so that `artifact.with_values` makes a file of other weights,
and `baking` one for inference, with neither TensorFlow nor a runtime.
"""
