"""The same networks in PyTorch, channels last.

usage: pytorch.py NAME BATCH THREADS
"""

from __future__ import annotations

import sys

import torch
from protocol import serve
from torch import nn

name, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)


def conv(inputs: int, filters: int, kernel: int, stride: int = 1, padding: int = 0) -> list[object]:
    """A convolution and its ReLU."""
    return [nn.Conv2d(inputs, filters, kernel, stride, padding), nn.ReLU()]


def lenet() -> tuple[nn.Module, tuple[int, ...]]:
    """As zoo:lenet."""
    layers = [*conv(1, 6, 5, padding=2), nn.MaxPool2d(2), *conv(6, 16, 5), nn.MaxPool2d(2)]
    dense = [nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()]
    return nn.Sequential(*layers, *dense, nn.Linear(84, 10)), (28, 28, 1)


def small_cnn() -> tuple[nn.Module, tuple[int, ...]]:
    """As zoo:small-cnn, but for the side on which stride 2 pads."""
    layers = [*conv(3, 32, 3, padding=1), nn.MaxPool2d(2), *conv(32, 64, 3, padding=1)]
    layers += [*conv(64, 128, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(128, 10)), (32, 32, 3)


def vgg_small() -> tuple[nn.Module, tuple[int, ...]]:
    """As zoo:vgg-small."""
    layers: list[object] = []
    inputs = 3
    for filters in (64, 128, 256):
        layers += [*conv(inputs, filters, 3, padding=1), *conv(filters, filters, 3, padding=1)]
        layers.append(nn.MaxPool2d(2))
        inputs = filters
    layers += [nn.Flatten(), nn.Linear(4096, 512), nn.ReLU(), nn.Linear(512, 10)]
    return nn.Sequential(*layers), (32, 32, 3)


model, shape = {"lenet": lenet, "small-cnn": small_cnn, "vgg-small": vgg_small}[name]()
model = model.to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), 0.01)
loss_of = nn.CrossEntropyLoss()


def step(x: object, y: object) -> float:
    """One step of SGD."""
    image = torch.from_numpy(x).permute(0, 3, 1, 2)
    optimizer.zero_grad()
    loss = loss_of(model(image), torch.from_numpy(y).long())
    loss.backward()
    optimizer.step()
    return loss.item()


serve(step, f"PyTorch {torch.__version__} channels last", shape, batch, 10)
