"""Windows, halos and cuts against their definitions."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from tests.tfplus.tiles import reference
from tfplus.errors import UsageError
from tfplus.tiles import geometry, layers
from tfplus.tiles.geometry import Interval, Rectangle
from tfplus.tiles.grid import Grid, Tiling, fused
from tfplus.tiles.group import tile, whole
from tfplus.tiles.layers import Chain, TiledLayer, Window


@pytest.mark.parametrize(
    ("n", "k", "s", "d"), [*itertools.product((5, 8, 13), (1, 2, 3, 5), (1, 2, 3), (1, 2))]
)
def test_a_window_is_tensorflows(n: int, k: int, s: int, d: int) -> None:
    same = Window.of(n, k, s, d, same=True)
    # ceil(n / s) outputs, and the padding in all that this takes, the smaller half in front.
    total = max((same.outputs - 1) * s + (k - 1) * d + 1 - n, 0)
    assert (same.outputs, same.before) == (-(-n // s), total // 2)
    if (k - 1) * d + 1 <= n:
        valid = Window.of(n, k, s, d, same=False)
        assert valid.outputs == len(range(0, n - (k - 1) * d, s))
        assert not valid.pads


def test_what_fused_layers_read_is_what_a_perturbation_reaches() -> None:
    """An output row depends on the rows that a tile fetches, and on no other."""
    chain = reference.six_layers(24, 24)
    windows = [layer.rows for layer in chain.layers]
    n, outputs = windows[0].inputs, windows[-1].outputs
    reaches = np.eye(n, dtype=bool)
    for window in windows:
        made = np.zeros((window.outputs, n), bool)
        for out in range(window.outputs):
            rows = geometry.read_by(window, Interval(out, out + 1))
            made[out] = reaches[max(rows.start, 0) : min(rows.stop, window.inputs)].any(axis=0)
        reaches = made
    for a, b in itertools.combinations(range(outputs + 1), 2):
        read = tile(chain.layers, Rectangle(Interval(a, b), Interval(0, 1))).fetched.rows
        found = np.flatnonzero(reaches[a:b].any(axis=0))
        assert (found[0], found[-1] + 1) == read


def test_the_halo_of_same_convolutions_is_the_papers() -> None:
    # Kernels 3, 5 and 3 with a stride of 2 behind the second: 1 + 2 + 2·1 rows a side.
    windows = [Window(3, 1, 1, 32, 32), Window(5, 1, 2, 32, 32), Window(2, 2, 0, 32, 16)]
    windows.append(Window(3, 1, 1, 16, 16))
    assert geometry.halo(windows) == (5, 5)
    given = [TiledLayer(str(i), "average", w, w, 1, 1) for i, w in enumerate(windows)]
    read = tile(given, Rectangle(Interval(4, 8), Interval(4, 8))).inputs[0].region
    assert read.rows == read.columns == Interval(4 * 2 - 5, 8 * 2 + 5)


@pytest.mark.parametrize("shares", [(1, 1), (2, 1), (1, 1, 1), (5, 1, 2)])
def test_tiles_cover_a_map_once(shares: tuple[float, ...]) -> None:
    for rows in range(8, 40):
        parts = geometry.split(rows, shares)
        assert [r for part in parts for r in range(*part)] == list(range(rows))
        for part, share in zip(parts, shares, strict=True):
            assert abs(part.size - rows * share / sum(shares)) <= 1


def test_a_cut_into_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be cut into 4 tiles"):
        geometry.split(3, (1, 1, 1, 1))
    chain = reference.six_layers()
    with pytest.raises(UsageError, match=r"layer 'f' makes a map of 2×3"):
        _ = Tiling(chain, Grid.even(5, 1), fused(chain)).tiles


def test_cores_cover_a_map_and_tiles_read_within_it() -> None:
    chain = reference.six_layers(20, 23)
    tiling = Tiling(chain, Grid((3.0, 1.0), (1.0, 1.0, 1.0)), ((0, 2), (2, 5), (5, 6)))
    for group, (start, stop) in zip(tiling.tiles, tiling.groups, strict=True):
        rows, columns, _ = chain.maps()[stop]
        covered = np.zeros((rows, columns), int)
        for each in group:
            covered[slice(*each.core.rows), slice(*each.core.columns)] += 1
            assert each.fetched.meet(whole(*chain.maps()[start][:2])) == each.fetched
        assert (covered == 1).all()


def read(raw: dict[str, Any]) -> Chain:
    return layers.from_plain(layers.PlanFields(json.loads(json.dumps(raw))))


def test_a_chain_survives_json_and_is_checked() -> None:
    chain = reference.six_layers()
    assert read(chain.plain()) == chain
    broken = chain.plain()
    gap = [broken["layers"][0], broken["layers"][2]]
    with pytest.raises(UsageError, match="layer 'c' reads"):
        read({**broken, "layers": gap})
    with pytest.raises(UsageError, match="at least one"):
        read({**broken, "layers": []})
    with pytest.raises(UsageError, match=r"rows\.stride: expected an integer"):
        first = broken["layers"][0]
        bad = {**first, "rows": {**first["rows"], "stride": 0}}
        read({**broken, "layers": [bad]})
    assert isinstance(chain.first(2), Chain)
