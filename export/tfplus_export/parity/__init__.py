"""Does an exported step compute what TensorFlow computes?"""
