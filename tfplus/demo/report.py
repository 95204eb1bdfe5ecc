"""The demo's `report.html`: one file that needs nothing else, made from `result.json` alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any, cast

from tfplus.report.charts import Reference, Series, Value, bar_chart, line_chart

ABSENT = "—"
Result = Mapping[str, Any]


def render(result: Result) -> str:
    """Builds the report.

    Args:
      result: what `result.json` holds: `global_accuracy`, `central_accuracy`, `alone_accuracy`
        (list), `rounds`, `bytes_sent`, `seconds`, `devices` (list of `name`, `classes`, `branches`,
        `samples`), `by_round` (list of `round`, `global_accuracy`, `device_accuracy`, `train_loss`,
        `seconds`, `bytes_sent`), `seed`, `versions`, `machine` and `date`. Accuracies are
        fractions. Whatever is absent or null is shown as absent.

    Returns:
      HTML that is well-formed XML too, with style and drawings inside and no script.
    """
    names = [str(d.get("name", ABSENT)) for d in _objects(result, "devices")]
    rounds = [r for r in _objects(result, "by_round") if isinstance(r.get("round"), int)]
    body = "".join(
        [
            _head(result, len(names)),
            _tiles(result),
            _accuracy(result, rounds, names),
            _loss(rounds, names),
            _cost(rounds),
            _devices(result),
            _round_table(rounds, names),
            _provenance(result),
        ]
    )
    style = resources.files("tfplus.demo").joinpath("report.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>tfplus demo: devices that learned together</title><style>{style}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _head(result: Result, devices: int) -> str:
    count = f"{devices} devices" if devices != 1 else "1 device"
    return (
        f"<h1>{count} learned together</h1>"
        "<p>Devices are processes on one machine here; all else is real. "
        "Each trained on its own classes and never showed its data. Neighbours averaged "
        "the parts of the model that they have in common, without a coordinator; the global model "
        "was put together from what all of them learned, and measured on samples that none had "
        "seen.</p>"
    )


def _tiles(result: Result) -> str:
    alone = [v for v in (_number(a) for a in _list(result, "alone_accuracy")) if v is not None]
    tiles = [
        ("main", "Global model", _percent(_get(result, "global_accuracy")), "all devices together"),
        ("", "Central training", _percent(_get(result, "central_accuracy")), "all data, one place"),
        ("", "Best alone", _percent(max(alone, default=None)), _alone_note(alone)),
        ("", "Rounds", _count(_get(result, "rounds")), "of local epochs and gossip"),
        ("", "Sent", _bytes(_get(result, "bytes_sent")), "by all devices"),
        ("", "Time", _seconds(_get(result, "seconds")), "from start to result"),
    ]
    cells = (
        f'<div class="{style}"><dt>{escape(label)}</dt>'
        f"<dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for style, label, value, note in tiles
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def _alone_note(alone: Sequence[float]) -> str:
    if not alone:
        return "no exchange"
    return f"no exchange; mean {_percent(sum(alone) / len(alone))}"


def _accuracy(result: Result, rounds: Sequence[Result], names: Sequence[str]) -> str:
    series = [Series("global", [_get(r, "global_accuracy") for r in rounds], leading=True)]
    series += _per_device(rounds, names, "device_accuracy")
    references: list[Reference] = []
    central = _get(result, "central_accuracy")
    if central is not None:
        references.append(Reference("central", central))
    alone = [v for v in (_number(a) for a in _list(result, "alone_accuracy")) if v is not None]
    if alone:
        references.append(Reference("best alone", max(alone)))
    chart = line_chart(
        "Accuracy by round, of each device and of the global model",
        [r["round"] for r in rounds],
        series,
        _percent,
        y_label="accuracy",
        top=1.0,
        references=references,
    )
    return _section(
        "Accuracy by round",
        "On held-out samples of all classes; a device can be right only on the classes that its "
        "model has a branch for.",
        chart,
    )


def _loss(rounds: Sequence[Result], names: Sequence[str]) -> str:
    chart = line_chart(
        "Training loss by round, of each device",
        [r["round"] for r in rounds],
        _per_device(rounds, names, "train_loss"),
        _plain,
        y_label="mean training loss",
        height=260,
    )
    return _section("Loss by round", "Mean over the steps of the round.", chart)


def _cost(rounds: Sequence[Result]) -> str:
    xs = [r["round"] for r in rounds]
    time = bar_chart(
        "Time by round", xs, [_get(r, "seconds") for r in rounds], _seconds, y_label="time"
    )
    sent = bar_chart(
        "Bytes by round", xs, [_get(r, "bytes_sent") for r in rounds], _bytes, y_label="bytes sent"
    )
    return _section(
        "Time by round", "Wall clock, waiting for neighbours included.", time
    ) + _section("Bytes by round", "Sent by all devices together.", sent)


def _devices(result: Result) -> str:
    alone = [_number(a) for a in _list(result, "alone_accuracy")]
    rows: list[list[str]] = []
    for i, device in enumerate(_objects(result, "devices")):
        rows.append(
            [
                str(device.get("name", ABSENT)),
                ", ".join(str(c) for c in _list(device, "classes")) or ABSENT,
                ", ".join(str(c) for c in _list(device, "branches")) or ABSENT,
                _count(_get(device, "samples")),
                _percent(alone[i] if i < len(alone) else None),
            ]
        )
    head = ["device", "has samples of", "has branches for", "samples", "accuracy alone"]
    return _section(
        "Devices",
        "What each of them knows: its own classes, and branches for those of its neighbours too. "
        "The last column is how far it gets by itself.",
        _table(head, rows, numbers=3),
    )


def _round_table(rounds: Sequence[Result], names: Sequence[str]) -> str:
    rows: list[list[str]] = []
    for entry in rounds:
        devices = _list(entry, "device_accuracy")
        rows.append(
            [
                str(entry["round"]),
                _percent(_get(entry, "global_accuracy")),
                *(
                    _percent(_number(devices[i]) if i < len(devices) else None)
                    for i in range(len(names))
                ),
                _seconds(_get(entry, "seconds")),
                _bytes(_get(entry, "bytes_sent")),
            ]
        )
    table = _table(["round", "global", *names, "time", "sent"], rows, numbers=0)
    return f"<section><details><summary>All numbers by round</summary>{table}</details></section>"


def _provenance(result: Result) -> str:
    rows = [["date", _text(result.get("date"))], ["seed", _text(result.get("seed"))]]
    for group in ("versions", "machine"):
        values = result.get(group)
        if isinstance(values, Mapping):
            pairs = cast("Mapping[str, Any]", values).items()
            rows += [[str(k).replace("_", " "), _text(v)] for k, v in pairs]
    return _section("Provenance", "", _table(["", ""], rows, numbers=2))


def _per_device(rounds: Sequence[Result], names: Sequence[str], field: str) -> list[Series]:
    lists = [_list(r, field) for r in rounds]
    return [
        Series(name, [_number(values[i]) if i < len(values) else None for values in lists])
        for i, name in enumerate(names)
    ]


def _section(title: str, note: str, content: str) -> str:
    said = f"<p>{escape(note)}</p>" if note else ""
    return f"<section><h2>{escape(title)}</h2>{said}{content}</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int) -> str:
    """A table whose columns from `numbers` on are aligned to the right, where it has a head."""

    def style(column: int) -> str:
        return ' class="number"' if any(head) and column >= numbers else ""

    if not rows:
        return f'<p class="none">{ABSENT} none were recorded</p>'
    titles = "".join(f"<th{style(i)}>{escape(h)}</th>" for i, h in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{style(i)}>{escape(c)}</td>" for i, c in enumerate(row)) + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{titles}</tr></thead>" if any(head) else ""
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


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


def _percent(value: Value) -> str:
    if value is None:
        return ABSENT
    return f"{value * 100:.1f}".removesuffix(".0") + " %"


def _count(value: Value) -> str:
    return ABSENT if value is None else f"{value:,.0f}"


def _plain(value: float) -> str:
    return f"{value:.3g}"


def _seconds(value: Value) -> str:
    if value is None:
        return ABSENT
    if value < 1:
        # Tenths would make 0.15 s and 0.2 s the same mark of an axis.
        return f"{value:.3g} s"
    return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def _bytes(value: Value) -> str:
    if value is None:
        return ABSENT
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


def _text(value: Any) -> str:
    if value is None or value == "":
        return ABSENT
    if isinstance(value, float):
        return _plain(value)
    return str(value)
