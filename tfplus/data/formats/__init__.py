"""How samples may be stored: one file a format, all behind one interface.

`source` is that interface: a count that is cheap, and columns that are read by the batch.
`registry` lists the formats and finds the one of a path. `class_folders`, `classes` and `sidecar`
are what several formats share: a folder a class, the labels of class names, and `dataset.json`.
"""
