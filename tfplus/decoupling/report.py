"""`report.html` of a plan: what was decided, why, and what it saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfplus.decoupling.functionality import above_mean, critical_path, specificity
from tfplus.decoupling.plan import Cost, DecoupledLayer, Plan
from tfplus.report import page, pictures
from tfplus.report.figures import Axis, BarFigure, Line, LineFigure
from tfplus.report.pictures import Picture
from tfplus.report.units import ABSENT, FRACTION, PLAIN, Value

_STAGES = ("before", "pruned", "recalibrated", "fine_tuned")
_CELL = 6


@dataclass(frozen=True)
class MaximizedFilter:
    """Inputs that move a filter strongly, found by gradient ascent.

    Attributes:
      label: the class on whose critical path it lies.
      layer: its layer.
      filter: its index.
      inputs: iterations → float32 [height, width, channels].
      activations: iterations → what the filter's mean activation is then.
    """

    label: int
    layer: str
    filter: int
    inputs: Mapping[int, np.ndarray]
    activations: Mapping[int, float]


@dataclass(frozen=True)
class Functionality:
    """What the model was measured for beside the plan.

    Attributes:
      preferences: layer, also a shared one, from the input on → mean activation, [classes,
        filters].
      maximized: filters that were visualized.
    """

    preferences: Mapping[str, np.ndarray]
    maximized: Sequence[MaximizedFilter]


def render(plan: Plan, found: Functionality) -> str:
    """Builds the report.

    Args:
      plan: what was decided.
      found: what was measured beside it.

    Returns:
      HTML that is well-formed XML too, with style, drawings and pictures inside and no script.

    Raises:
      MissingExtraError: matplotlib is not installed.
    """
    parts = [
        _head(plan),
        _accuracy(plan),
        _savings(plan),
        _costs(plan),
        _preference(plan),
        _paths(plan),
        _divergence(plan, found),
        _maximized(found),
    ]
    return page.page(f"tfplus: {plan.source} decoupled by class", parts)


def _head(plan: Plan) -> str:
    kept = ", ".join(
        f"{e.filters.shape[1]} of {e.preference.shape[1]} filters of {e.name}" for e in plan.layers
    )
    accuracy, costs = plan.accuracy, plan.costs
    last = accuracy.recalibrated if accuracy.fine_tuned is None else accuracy.fine_tuned
    half = plan.classes[: max(1, len(plan.classes) // 2)]
    tiles = [
        page.Tile("Accuracy before", FRACTION.write(accuracy.before), "of the model that was cut"),
        page.Tile("Decoupled", FRACTION.write(last), "all branches together", is_main=True),
        page.Tile(
            f"{len(half)} of {len(plan.classes)} classes",
            _times(costs.original.step_flops, _step_of(plan, half, with_shared=True)),
            "fewer products a training step",
        ),
        page.Tile(
            "The same, features kept",
            _times(costs.original.step_flops, _step_of(plan, half, with_shared=False)),
            "shared layers frozen, their output on the device",
        ),
    ]
    text = (
        f"Behind '{plan.shared_layer}' each class has a branch of its own: {kept}. A device trains "
        "the branches of its classes; the plan "
        f"{plan.plan_id[:16]} puts the whole together again."
    )
    return page.heading(f"{plan.source} decoupled by class", text) + page.tiles(tiles)


def _accuracy(plan: Plan) -> str:
    values = {name: getattr(plan.accuracy, name) for name in _STAGES}
    known = {name: value for name, value in values.items() if value is not None}
    figure = BarFigure(
        "Accuracy by stage",
        "stage",
        [name.replace("_", "-") for name in known],
        list(known.values()),
        Axis("accuracy", FRACTION, top=1.0),
    )
    note = (
        f"On {plan.accuracy.samples} samples of {plan.accuracy.data}. Pruned: connections between "
        "classes cut; recalibrated: each filter's mean and deviation put back."
    )
    return page.section(figure.title, note, page.figure(figure))


def _savings(plan: Plan) -> str:
    counts = list(range(1, len(plan.classes) + 1))
    lines: list[Line] = []
    for name, with_shared in (("shared layers trained", True), ("features kept", False)):
        values: list[Value] = []
        for count in counts:
            step = _step_of(plan, plan.classes[:count], with_shared=with_shared)
            values.append(None if step is None else step / 1e6)
        lines.append(Line(name, values, is_leading=not with_shared))
    figure = LineFigure(
        "Training step by number of classes",
        "classes",
        counts,
        lines,
        Axis("MFLOP a sample", PLAIN),
    )
    note = (
        "Floating-point operations of the products of a training step, two for each multiply-add; "
        f"the model before the cut takes {_mega(plan.costs.original.step_flops)} million. These "
        "are counts, not times."
    )
    return page.section(figure.title, note, page.figure(figure))


def _costs(plan: Plan) -> str:
    costs = plan.costs
    named: list[tuple[str, Cost]] = [
        ("the model before", costs.original),
        ("decoupled, all classes", costs.whole),
        ("shared layers", costs.shared),
        *((f"branch of class {label}", costs.branches[label]) for label in plan.classes),
    ]
    rows = [
        [name, _mega(c.forward_flops), _mega(c.step_flops), f"{c.parameters:,}"]
        for name, c in named
    ]
    head = ["part", "forward, MFLOP", "training step, MFLOP", "parameters"]
    return page.section(
        "Cost of one sample",
        "A sub-model is the shared layers and its branches.",
        page.table(head, rows, numbers=1),
    )


def _preference(plan: Plan) -> str:
    shown = [Picture(*_matrix(plan, layer)) for layer in plan.layers]
    return page.section(
        "Preference matrix",
        "A row for each class, a column for each filter that a class got, in the order of classes: "
        f"{', '.join(map(str, plan.classes))}. Blue: the class moves the filter more than the mean "
        "class does, orange: less.",
        pictures.gallery(shown),
    )


def _matrix(plan: Plan, layer: DecoupledLayer) -> tuple[np.ndarray, str, int]:
    order = list(dict.fromkeys(layer.filters.reshape(-1).tolist()))
    pixels = pictures.signed(above_mean(layer.preference)[:, order])
    # Rows as high as they can be told apart; a page makes the columns as wide.
    tall = np.repeat(pixels, 3 if len(order) > 3 * len(plan.classes) else 1, axis=0)
    caption = f"{layer.name}: {len(plan.classes)} classes, {len(order)} filters"
    return tall, caption, min(760, max(160, _CELL * len(order)))


def _paths(plan: Plan) -> str:
    rows: list[list[str]] = []
    for place, label in enumerate(plan.classes):
        stations = critical_path(plan.layers, place)
        rows.append(
            [
                str(label),
                *(f"{s.filter}{'' if s.is_own else '*'} (+{s.above:.3g})" for s in stations),
            ]
        )
    return page.section(
        "Critical paths",
        "The filter of each layer that a class moves most above the mean class, and by how much; "
        "with a star where another class got it.",
        page.table(["class", *(layer.name for layer in plan.layers)], rows, numbers=1),
    )


def _divergence(plan: Plan, found: Functionality) -> str:
    values: list[Value] = []
    for preference in found.preferences.values():
        known = specificity(preference)
        known = known[np.isfinite(known)]
        values.append(float(known.mean()) if len(known) else None)
    figure = BarFigure(
        "Functionality divergence by depth",
        "layer",
        list(found.preferences),
        values,
        Axis("specificity", PLAIN, top=1.0),
    )
    cut = plan.layers[0].name
    return page.section(
        figure.title,
        "Mean over the filters of a layer: 0 where all classes move a filter alike, 1 where one "
        f"alone does. Layers from '{cut}' on were decoupled.",
        page.figure(figure),
    )


def _maximized(found: Functionality) -> str:
    if not found.maximized:
        return ""
    shown = [
        Picture(
            pictures.grey(values),
            f"class {one.label}, {one.layer} {one.filter}: {count} iterations, "
            f"activation {one.activations[count]:.3g}",
        )
        for one in found.maximized
        for count, values in one.inputs.items()
    ]
    return page.section(
        "Filters of the critical paths",
        "Inputs that move a filter of the model before the cut, by gradient ascent from the same "
        "noise, with decay and smoothing.",
        pictures.gallery(shown),
    )


def _step_of(plan: Plan, labels: Sequence[int], *, with_shared: bool) -> int | None:
    parts = [plan.costs.branches[label].step_flops for label in labels]
    parts += [plan.costs.shared.step_flops] if with_shared else []
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _times(whole: int | None, part: int | None) -> str:
    return ABSENT if whole is None or not part else f"{whole / part:.1f} ×"


def _mega(flops: int | None) -> str:
    return "not counted" if flops is None else f"{flops / 1e6:.3f}"
