"""Codecs: float32 values in fewer bytes. One file a codec, one line in `registry`."""
