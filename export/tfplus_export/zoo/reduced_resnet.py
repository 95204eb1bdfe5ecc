"""A reduced residual network with the widths of a wide ResNet, for 32×32 images.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; Zagoruyko & Komodakis, "Wide
Residual Networks", BMVC 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from tfplus_export.tf_types import Tensor

# Width of each residual block, and its stride.
BLOCKS = ((160, 1), (320, 2), (320, 1), (640, 2), (640, 1))
# Keras' 0.99 needs hundreds of steps to forget the initial averages; a device takes tens an epoch.
MOMENTUM = 0.9


def build(input_shape: tuple[int, ...], classes: Sequence[int]) -> keras.Model:
    """A convolution of 16 filters, then five residual blocks of 160, 320, 320, 640 and 640.

    The papers list six widths and neither strides nor the layers of a block. Read here as six 3×3
    convolutions: a block has one, and a shortcut around it, which is a 1×1 convolution where width
    or stride change. Batch normalization follows each convolution, ReLU each sum. The image is
    halved where the width doubles. 7 206 874 parameters for ten classes, moving averages not
    counted.
    """
    x = image = keras.Input(input_shape)
    x = layers.ReLU(name="relu")(_convolved(x, 16, 3, 1, "conv"))
    width = 16
    for i, (filters, stride) in enumerate(BLOCKS, start=1):
        shortcut = x
        if filters != width or stride != 1:
            shortcut = _convolved(x, filters, 1, stride, f"shortcut{i}")
        x = layers.Add(name=f"add{i}")([_convolved(x, filters, 3, stride, f"conv{i}"), shortcut])
        x = layers.ReLU(name=f"relu{i}")(x)
        width = filters
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(image, layers.Dense(len(classes), name="logits")(x), name="reduced_resnet")


def _convolved(x: Tensor, filters: int, kernel: int, stride: int, name: str) -> Tensor:
    x = layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)
