"""What the server's state holds: batches, samples, and versions of the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Whose it is, and the key of the sample.
Key = tuple[str, bytes]


@dataclass(frozen=True)
class FeatureBatch:
    """A batch that was checked.

    Attributes:
      id: chosen by the device.
      device: whose it is.
      maker: hash of what made the features.
      hyper: hash of the hyper-parameters.
      samples: key of each.
      labels: int64 [n].
      rows: float32 [n, ...].
      note: what was done to the features before.
    """

    id: str
    device: str
    maker: str
    hyper: str
    samples: tuple[bytes, ...]
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.float32]
    note: str


@dataclass(frozen=True)
class Sample:
    """A sample as it is kept.

    Attributes:
      arrival: number of the change that it came with; grows as changes are committed.
      label: of the user.
      row: float32 features.
    """

    arrival: int
    label: int
    row: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Version:
    """Weights that were published.

    Attributes:
      number: grows by one.
      model_sha256: of the file that they belong to.
      published_s: seconds since 1970, by the clock of who published it.
      taken: samples with an arrival of at most this were there when it was trained.
      samples: that it was trained on; 0 for those of the file.
      loss: mean of the last epoch; None without.
      why: for people: why this file, at this freeze point; empty where there was no choice.
    """

    number: int
    model_sha256: str
    published_s: float
    taken: int
    samples: int
    loss: float | None
    why: str = ""
