"""Exports one of the models whose steps are timed.

usage: step_export.py NAME BATCH FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # started as a script of its own

from support.step_models import build
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.optimizers import Sgd
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source

name, batch, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
built = build(name)
classes = tuple(range(built.classes)) or None
source = Source(name, built.model, classes, None, None, Preprocessing(), None)
loss = None if built.classes else "mse"
options = api.Options(batch, optimizer=Sgd(0.01), parity_steps=2, loss=loss)
api.export(source, path, options, lambda text: print(text, file=sys.stderr))
