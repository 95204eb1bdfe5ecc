"""Names of what a model trains on, as `--accelerator` takes them."""

from __future__ import annotations

from tfplus.errors import UsageError

# A GPU where it is there and computes rightly, else the CPU.
AUTO = "auto"
CPU = "cpu"
GPU = "gpu"
NAMES = (AUTO, CPU, GPU)


def check_name(accelerator: str) -> None:
    """Refuses what is no accelerator's name.

    Raises:
      UsageError: it is none of `NAMES`.
    """
    if accelerator not in NAMES:
        raise UsageError(f"--accelerator {accelerator}: expected {', '.join(NAMES)}")
