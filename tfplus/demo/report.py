"""The demo's `report.html`, made from `result.json` alone: what is shown of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from tfplus.report import page
from tfplus.report.figures import Axis, BarFigure, Line, LineFigure, Multiples, Reference
from tfplus.report.units import ABSENT, BYTES, COUNT, FRACTION, PLAIN, SECONDS, Value

Result = Mapping[str, Any]


def render(result: Result) -> str:
    """Builds the report.

    Args:
      result: what `result.json` holds: `global_accuracy`, `central_accuracy`, `alone_accuracy`
        (list), `rounds`, `bytes_sent`, `seconds`, `devices` (list of `name`, `classes`, `branches`,
        `samples`), `by_round` (list of `round`, `global_accuracy`, `device_accuracy`, `train_loss`,
        `seconds`, `bytes_sent`), `seed`, `versions`, `machine` and `date`. Accuracies are
        fractions. A run of a decoupled CNN also has `decoupled`: `accuracy` by stage, `step_flops`
        of the CNN, and `devices` with theirs. Whatever is absent or null is shown as absent.

    Returns:
      HTML that is well-formed XML too, with style and drawings inside and no script.

    Raises:
      MissingExtraError: matplotlib is not installed.
    """
    names = [str(d.get("name", ABSENT)) for d in _objects(result, "devices")]
    rounds = [r for r in _objects(result, "by_round") if isinstance(r.get("round"), int)]
    parts = [
        _head(len(names)),
        _tiles(result),
        _decoupled(result),
        _accuracy(result, rounds, names),
        _loss(rounds, names),
        _cost(rounds),
        _devices(result),
        _provenance(result),
    ]
    return page.page("tfplus demo: devices that learned together", parts)


def _head(devices: int) -> str:
    count = f"{devices} devices" if devices != 1 else "1 device"
    return page.heading(
        f"{count} learned together",
        "Devices are processes on one machine here; all else is real. "
        "Each trained on its own classes and never showed its data. Neighbours averaged "
        "the parts of the model that they have in common, without a coordinator; the global model "
        "was put together from what all of them learned, and measured on samples that none had "
        "seen.",
    )


def _tiles(result: Result) -> str:
    alone = _alone(result)
    known = [
        ("Global model", "global_accuracy", FRACTION, "all devices together"),
        ("Central training", "central_accuracy", FRACTION, "all data, one place"),
        ("Rounds", "rounds", COUNT, "of local epochs and gossip"),
        ("Sent", "bytes_sent", BYTES, "by all devices"),
        ("Time", "seconds", SECONDS, "from start to result"),
    ]
    tiles = [
        page.Tile(label, unit.write(_get(result, name)), note, is_main=name == "global_accuracy")
        for label, name, unit, note in known
    ]
    mean = f"; mean {FRACTION.write(sum(alone) / len(alone))}" if alone else ""
    best = page.Tile("Best alone", FRACTION.write(max(alone, default=None)), f"no exchange{mean}")
    return page.tiles([*tiles[:2], best, *tiles[2:]])


def _accuracy(result: Result, rounds: Sequence[Result], names: Sequence[str]) -> str:
    lines = [Line("global", [_get(r, "global_accuracy") for r in rounds], is_leading=True)]
    lines += _per_device(rounds, names, "device_accuracy")
    levels = {
        "central": _get(result, "central_accuracy"),
        "best alone": max(_alone(result), default=None),
    }
    figure = LineFigure(
        "Accuracy by round",
        "round",
        _numbers(rounds),
        lines,
        Axis("accuracy", FRACTION, top=1.0),
        [Reference(name, level) for name, level in levels.items() if level is not None],
    )
    return page.section(
        figure.title,
        "On held-out samples of all classes; a device can be right only on the classes that its "
        "model has a branch for.",
        page.figure(figure),
    )


def _decoupled(result: Result) -> str:
    plan = result.get("decoupled")
    if not isinstance(plan, Mapping):
        return ""
    known = cast("Result", plan)
    stages = cast("Result", known.get("accuracy") or {})
    names = ["before", "pruned", "recalibrated", "fine_tuned"]
    figure = BarFigure(
        "Accuracy of the decoupled model by stage",
        "stage",
        [name.replace("_", "-") for name in names if name in stages],
        [_get(stages, name) for name in names if name in stages],
        Axis("accuracy", FRACTION, top=1.0),
    )
    rows = [["the CNN before it was cut", _mega(known, "step_flops"), "", "", ""]]
    rows += [
        [
            str(device.get("name", ABSENT)),
            _mega(device, "step_flops"),
            _times(device, "saving"),
            _mega(device, "branches_step_flops"),
            _times(device, "branches_saving"),
        ]
        for device in _objects(known, "devices")
    ]
    head = ["", "MFLOP a sample", "less by", "branches alone", "less by"]
    return page.section(
        "Decoupled by class",
        "A CNN was trained first, on samples that no device has, and then cut: each filter behind "
        "the shared layers went to one class. A device has the shared layers and its own classes' "
        "branches. The table counts the products of a training step; branches alone, "
        "with the gradient of what they read, are more than what is left where the output of "
        "frozen shared layers is kept on the device.",
        page.figure(figure) + page.table(head, rows, numbers=1),
    )


def _mega(of: Result, name: str) -> str:
    value = _get(of, name)
    return ABSENT if value is None else f"{value / 1e6:.2f}"


def _times(of: Result, name: str) -> str:
    value = _get(of, name)
    return ABSENT if value is None else f"{value:.1f} ×"


def _loss(rounds: Sequence[Result], names: Sequence[str]) -> str:
    figure = LineFigure(
        "Loss by round",
        "round",
        _numbers(rounds),
        _per_device(rounds, names, "train_loss"),
        Axis("mean training loss", PLAIN),
        height=260,
    )
    return page.section(figure.title, "Mean over the steps of the round.", page.figure(figure))


def _cost(rounds: Sequence[Result]) -> str:
    known = [
        ("Wall clock, waiting for neighbours included", "seconds", "time", SECONDS),
        ("Sent by all devices together", "bytes_sent", "bytes sent", BYTES),
    ]
    panels = [
        BarFigure(
            title,
            "round",
            [str(number) for number in _numbers(rounds)],
            [_get(r, name) for r in rounds],
            Axis(label, unit),
        )
        for title, name, label, unit in known
    ]
    figure = Multiples("Time and bytes by round", panels)
    return page.section(figure.title, "", page.figure(figure))


def _devices(result: Result) -> str:
    alone = [_number(a) for a in _list(result, "alone_accuracy")]
    rows = [
        [
            str(device.get("name", ABSENT)),
            ", ".join(str(c) for c in _list(device, "classes")) or ABSENT,
            ", ".join(str(c) for c in _list(device, "branches")) or ABSENT,
            COUNT.write(_get(device, "samples")),
            FRACTION.write(alone[i] if i < len(alone) else None),
        ]
        for i, device in enumerate(_objects(result, "devices"))
    ]
    head = ["device", "has samples of", "has branches for", "samples", "accuracy alone"]
    return page.section(
        "Devices",
        "What each of them knows: its own classes, and branches for those of its neighbours too. "
        "The last column is how far it gets by itself.",
        page.table(head, rows, numbers=3),
    )


def _provenance(result: Result) -> str:
    rows = [["date", _text(result.get("date"))], ["seed", _text(result.get("seed"))]]
    for group in ("versions", "machine"):
        values = result.get(group)
        if isinstance(values, Mapping):
            pairs = cast("Mapping[str, Any]", values).items()
            rows += [[str(k).replace("_", " "), _text(v)] for k, v in pairs]
    return page.section("Provenance", "", page.table(["", ""], rows, numbers=2))


def _per_device(rounds: Sequence[Result], names: Sequence[str], field: str) -> list[Line]:
    lists = [_list(r, field) for r in rounds]
    return [
        Line(name, [_number(values[i]) if i < len(values) else None for values in lists])
        for i, name in enumerate(names)
    ]


def _numbers(rounds: Sequence[Result]) -> list[int]:
    return [r["round"] for r in rounds]


def _alone(result: Result) -> list[float]:
    return [v for v in map(_number, _list(result, "alone_accuracy")) if v is not None]


def _objects(result: Result, key: str) -> list[Result]:
    return [cast("Result", v) for v in _list(result, key) if isinstance(v, Mapping)]


def _list(result: Result, key: str) -> list[Any]:
    value = result.get(key)
    return list(cast("Sequence[Any]", value)) if isinstance(value, (list, tuple)) else []


def _get(result: Result, key: str) -> Value:
    return _number(result.get(key))


def _number(value: Any) -> Value:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _text(value: Any) -> str:
    if value is None or value == "":
        return ABSENT
    return PLAIN.write(value) if isinstance(value, float) else str(value)
