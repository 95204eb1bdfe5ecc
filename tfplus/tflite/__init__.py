"""TFLite's flatbuffer, its operators and how it divides a graph among delegates."""
