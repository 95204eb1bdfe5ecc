"""The same networks in PyTorch, channels last.

usage: pytorch.py NAME BATCH THREADS
"""

from __future__ import annotations

import sys

import torch
from protocol import serve
from torch import nn
from torch_models import NETWORKS

name, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
model, shape, classes = NETWORKS[name]()
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


parameters = sum(p.numel() for p in model.parameters())
serve(step, f"PyTorch {torch.__version__} channels last", shape, batch, classes, parameters)
