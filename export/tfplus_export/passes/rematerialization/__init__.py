"""Tensors that are computed a second time, so that less has to live at once."""
