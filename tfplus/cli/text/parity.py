"""What an export measured against TensorFlow, a line a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

_NUMBERS = ("update", "loss", "outputs")


def lines(parity: Mapping[str, Any]) -> str:
    """The comparisons of a manifest, which may come from anyone: what is no run is passed over.

    Args:
      parity: `Manifest.parity`.
    """
    found = [str(parity["against"])] if parity.get("against") else []
    found += [_line(_runtime(run), run) for run in _runs(parity)]
    for value in parity.values():
        found += [_line(f"without variables, {run.get('on')}", run) for run in _runs(value)]
    return "\n".join(found) or "nothing"


def _runs(value: Any) -> list[Mapping[str, Any]]:
    runs = cast("Any", value).get("runs") if isinstance(value, Mapping) else None
    every = cast("list[Any]", runs) if isinstance(runs, list) else []
    return [cast("Mapping[str, Any]", run) for run in every if isinstance(run, Mapping)]


def _runtime(run: Mapping[str, Any]) -> str:
    kernels = "with XNNPACK" if run.get("xnnpack") else "builtin kernels"
    return f"{kernels}, {run.get('data', 'random')} data"


def _line(what: str, run: Mapping[str, Any]) -> str:
    errors = [
        f"{name} {value:.0e}" for name in _NUMBERS if isinstance(value := run.get(name), float)
    ]
    own = run.get("own_update")
    beside = f"; TensorFlow's own {own:.0e}" if isinstance(own, float) and own else ""
    small = run.get("magnified")
    beside += (
        f"; {small} small updates at a higher learning rate, too"
        if isinstance(small, int) and small
        else ""
    )
    float64 = run.get("float64")
    beside += f"; in double precision {float64:.0e}" if isinstance(float64, float) else ""
    count = run.get("steps")
    steps = f"{count} step" if count == 1 else f"{count} steps"
    return f"{what}, {steps}: {', '.join(errors)}, worst {run.get('worst_variable')}{beside}"
