"""The benchmarked networks in PyTorch.

They have the parameters of the Keras models, which `step.py` compares, and run the same operations;
where stride 2 pads, PyTorch pads both sides and TensorFlow one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

Image = tuple[int, ...]
Network = tuple[nn.Module, Image, int]

_SMALL: Image = (32, 32, 3)


def conv(inputs: int, filters: int, kernel: int, stride: int = 1, padding: int = 0) -> list[Any]:
    """A convolution and its ReLU."""
    return [nn.Conv2d(inputs, filters, kernel, stride, padding), nn.ReLU()]


def dense(inputs: int, classes: int) -> list[Any]:
    """Two layers of 4096 and the classes."""
    return [
        *(nn.Linear(inputs, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU()),
        nn.Linear(4096, classes),
    ]


def normalized(
    inputs: int,
    filters: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = nn.ReLU,
) -> list[Any]:
    """A convolution without bias, batch normalization, and an activation."""
    layers: list[Any] = [
        nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(filters),
    ]
    return layers if activation is None else [*layers, activation()]


class Residual(nn.Module):
    """A branch, and a shortcut around it."""

    def __init__(
        self, branch: list[Any], shortcut: list[Any], activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.branch, self.shortcut = nn.Sequential(*branch), nn.Sequential(*shortcut)
        self.activation = activation or nn.Identity()

    def forward(self, x: Any) -> Any:
        """Of [N, C, H, W]."""
        return self.activation(self.branch(x) + self.shortcut(x))


def lenet() -> Network:
    """As zoo:lenet."""
    layers = [*conv(1, 6, 5, padding=2), nn.MaxPool2d(2), *conv(6, 16, 5), nn.MaxPool2d(2)]
    tail = [nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()]
    return nn.Sequential(*layers, *tail, nn.Linear(84, 10)), (28, 28, 1), 10


def small_cnn() -> Network:
    """As zoo:small-cnn."""
    layers = [*conv(3, 32, 3, padding=1), nn.MaxPool2d(2), *conv(32, 64, 3, padding=1)]
    layers += [*conv(64, 128, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(128, 10)), _SMALL, 10


def _vgg(blocks: tuple[tuple[int, int], ...]) -> list[Any]:
    layers: list[Any] = []
    inputs = 3
    for convolutions, filters in blocks:
        for _ in range(convolutions):
            layers += conv(inputs, filters, 3, padding=1)
            inputs = filters
        layers.append(nn.MaxPool2d(2))
    return [*layers, nn.Flatten()]


def vgg_small() -> Network:
    """As zoo:vgg-small."""
    tail = [nn.Linear(4096, 512), nn.ReLU(), nn.Linear(512, 10)]
    return nn.Sequential(*_vgg(((2, 64), (2, 128), (2, 256))), *tail), _SMALL, 10


def vgg16() -> Network:
    """As zoo:vgg16."""
    blocks = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
    return nn.Sequential(*_vgg(blocks), *dense(512, 10)), _SMALL, 10


def mentee() -> Network:
    """As zoo:mentee."""
    layers: list[Any] = []
    inputs = 3
    for filters in (64, 128, 256, 512):
        layers += [*conv(inputs, filters, 3, padding=1), nn.MaxPool2d(2)]
        inputs = filters
    layers += [*conv(512, 512, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *dense(512, 10)), _SMALL, 10


def alexnet() -> Network:
    """As zoo:alexnet."""
    layers = [*conv(3, 96, 5, padding=2), nn.MaxPool2d(3, 2)]
    layers += [*conv(96, 256, 5, padding=2), nn.MaxPool2d(3, 2)]
    layers += [*conv(256, 384, 3, padding=1), *conv(384, 384, 3, padding=1)]
    layers += [*conv(384, 256, 3, padding=1), nn.MaxPool2d(3, 2), nn.Flatten()]
    return nn.Sequential(*layers, *dense(2304, 10)), _SMALL, 10


def keyword_cnn() -> Network:
    """As zoo:keyword-cnn."""
    layers: list[Any] = []
    inputs = 1
    for filters in (32, 64, 128):
        layers += [*normalized(inputs, filters, 3), nn.MaxPool2d(2)]
        inputs = filters
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 40)]
    return nn.Sequential(*layers), (61, 40, 1), 40


def reduced_mobilenet() -> Network:
    """As zoo:reduced-mobilenet."""
    layers = normalized(3, 32, 3)
    inputs = 32
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        layers += normalized(inputs, inputs, 3, stride, inputs) + normalized(inputs, filters, 1)
        inputs = filters
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10)]
    return nn.Sequential(*layers), _SMALL, 10


def reduced_resnet() -> Network:
    """As zoo:reduced-resnet."""
    layers: list[Any] = normalized(3, 16, 3)
    inputs = 16
    for filters, stride in ((160, 1), (320, 2), (320, 1), (640, 2), (640, 1)):
        shortcut: list[Any] = []
        if filters != inputs or stride != 1:
            shortcut = normalized(inputs, filters, 1, stride, activation=None)
        branch = normalized(inputs, filters, 3, stride, activation=None)
        layers.append(Residual(branch, shortcut, nn.ReLU()))
        inputs = filters
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(640, 10)]
    return nn.Sequential(*layers), _SMALL, 10


# Expansion, filters, repeats, stride: Sandler et al., CVPR 2018, table 2.
_INVERTED = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2() -> Network:
    """As keras.applications.MobileNetV2 for 96×96 pixels."""
    layers: list[Any] = normalized(3, 32, 3, 2, activation=nn.ReLU6)
    inputs = 32
    for expansion, filters, repeats, first_stride in _INVERTED:
        for i in range(repeats):
            stride = first_stride if i == 0 else 1
            wide = inputs * expansion
            branch = normalized(inputs, wide, 1, activation=nn.ReLU6) if expansion > 1 else []
            branch += normalized(wide, wide, 3, stride, wide, nn.ReLU6)
            branch += normalized(wide, filters, 1, activation=None)
            same = stride == 1 and inputs == filters
            layers += [Residual(branch, [])] if same else branch
            inputs = filters
    layers += normalized(320, 1280, 1, activation=nn.ReLU6)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10)]
    return nn.Sequential(*layers), (96, 96, 3), 10


NETWORKS: dict[str, Callable[[], Network]] = {
    "alexnet": alexnet,
    "keyword-cnn": keyword_cnn,
    "lenet": lenet,
    "mentee": mentee,
    "mobilenet-v2-96": mobilenet_v2,
    "reduced-mobilenet": reduced_mobilenet,
    "reduced-resnet": reduced_resnet,
    "small-cnn": small_cnn,
    "vgg-small": vgg_small,
    "vgg16": vgg16,
}
