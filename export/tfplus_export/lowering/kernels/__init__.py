"""Building blocks that rules share: windows, contractions, tiles, masks, of builtin operators."""
