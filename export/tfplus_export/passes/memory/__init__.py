"""How much memory a step's tensors take: TFLite's arena and XNNPACK's workspace."""
