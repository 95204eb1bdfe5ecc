"""Peak memory of the tensors of a step: TFLite's arena and XNNPACK's workspace."""
