"""How the initial value of a float32 variable is stored in a file: by a codec that TFLite knows.

The file's DEQUANTIZE does at load time what the codec's `decode` does here, so that only those
codecs are storages for which TFLite has an operator.
"""

from __future__ import annotations

from typing import Literal, get_args

Storage = Literal["float32", "float16", "int8"]
STORAGES: tuple[str, ...] = get_args(Storage)
