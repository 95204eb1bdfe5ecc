"""An exported file: a flatbuffer with a ZIP behind it that says what the file is."""
