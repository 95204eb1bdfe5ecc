"""The Keras model trained by TensorFlow, in float32 and in float64."""
