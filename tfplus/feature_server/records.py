"""What the server's state holds: versions of the head, and samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Whose it is, and the key of the sample.
Key = tuple[str, bytes]


@dataclass(frozen=True)
class Sample:
    """A sample as it is kept.

    Attributes:
      received_s: seconds since 1970.
      label: of the user.
      row: float32 features.
    """

    received_s: float
    label: int
    row: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Version:
    """Weights that were published.

    Attributes:
      number: grows by one.
      model_sha256: of the file that they belong to.
      published_s: seconds since 1970.
      taken_s: when its samples were read, seconds since 1970.
      samples: that it was trained on; 0 for those of the file.
      loss: mean of the last epoch; None without.
      weights: name of the file beside the data base.
      why: for people: why this file, at this freeze point; empty where there was no choice.
    """

    number: int
    model_sha256: str
    published_s: float
    taken_s: float
    samples: int
    loss: float | None
    weights: str
    why: str = ""
