"""Prints the layers of a network of `torch_models.py` as JSON, for systems that build it anew.

usage: torch_description.py NAME

The line holds the shape of an image, the classes, the trainable parameters and the layers: a list
of [kind, numbers ...], where a residual block is ["residual", branch, shortcut, activation]. It
runs in a process of its own, so that PyTorch's memory is not counted as the measured system's.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from torch import nn
from torch_models import NETWORKS, Residual


def described(layer: nn.Module) -> list[Any]:
    """One layer, which may hold others."""
    match layer:
        case nn.Conv2d():
            sizes = [layer.in_channels, layer.out_channels, layer.kernel_size[0]]
            rest = [layer.stride[0], layer.padding[0], layer.groups, layer.bias is not None]
            return ["convolution", *sizes, *rest]
        case nn.BatchNorm2d():
            return ["normalization", layer.num_features]
        case nn.Linear():
            return ["linear", layer.in_features, layer.out_features]
        case nn.MaxPool2d():
            return ["max pool", layer.kernel_size, layer.stride]
        case nn.ReLU() | nn.ReLU6() | nn.Identity() | nn.AdaptiveAvgPool2d() | nn.Flatten():
            names = {"AdaptiveAvgPool2d": "global pool"}
            kind = type(layer).__name__
            return [names.get(kind, kind.lower())]
        case Residual():
            return [
                "residual",
                *(listed(x) for x in (layer.branch, layer.shortcut)),
                described(layer.activation),
            ]
        case _:
            raise SystemExit(f"{type(layer).__name__} has no description")


def listed(layers: nn.Sequential) -> list[list[Any]]:
    """Layers in turn."""
    return [described(layer) for layer in layers]


def main() -> None:
    """Prints one network."""
    network, shape, classes = NETWORKS[sys.argv[1]]()
    count = sum(p.numel() for p in network.parameters())
    facts = {"shape": shape, "classes": classes, "parameters": count}
    print(json.dumps(facts | {"layers": listed(network)}))


if __name__ == "__main__":
    main()
