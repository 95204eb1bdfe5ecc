"""From concrete functions to a flatbuffer with the initial values of its variables in place."""
