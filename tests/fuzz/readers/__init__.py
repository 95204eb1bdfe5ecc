"""Every reader of bytes that come from elsewhere, as a target: some seeds, and how they are read.

`target` says what a target is and holds it to the one property: a documented error or an object,
within a time and a memory. `mutation` makes other bytes of seeds. `registry` names all targets.
"""
