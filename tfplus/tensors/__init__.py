"""Named tensors: the grammar of slice names, and averages over those who hold them."""
