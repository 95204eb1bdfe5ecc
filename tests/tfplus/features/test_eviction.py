"""FedEx's rules of eviction, one by one, and on an index with several makers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfplus.features import eviction
from tfplus.features.cache import FeatureCache
from tfplus.features.eviction import Known, Session, reason

NOW = Session(model_s=100.0, hyper="h", has_ended=False)
ENDED = Session(model_s=100.0, hyper="h", has_ended=True)


@pytest.mark.parametrize(
    ("entry", "session", "expected"),
    [
        (Known(100.0, "h", None, 0), NOW, None),
        (Known(99.9, "h", 3, 9), NOW, eviction.OLD),
        (Known(101.0, "g", 3, 9), NOW, eviction.OTHER_HYPER_PARAMETERS),
        (Known(101.0, "", 3, 9), NOW, eviction.OTHER_HYPER_PARAMETERS),
        (Known(101.0, "h", None, 0), ENDED, eviction.NOT_ANNOTATED),
        (Known(101.0, "h", None, 2), ENDED, eviction.NOT_ANNOTATED),
        (Known(101.0, "h", None, 3), ENDED, None),
        (Known(101.0, "h", 0, 0), ENDED, None),
    ],
)
def test_each_rule(entry: Known, session: Session, expected: str | None) -> None:
    assert reason(entry, session) == expected


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def opened(folder: Path, maker: str, clock: Clock, hyper: str = "h") -> FeatureCache:
    return FeatureCache(folder, maker, "layer", (2,), hyper=hyper, now=clock)


def row(value: float) -> np.ndarray:
    return np.full((1, 2), value, np.float32)


def test_a_session_ends(tmp_path: Path) -> None:
    clock = Clock()
    cache = opened(tmp_path, "a", clock)
    cache.add([b"labelled"], row(1))
    cache.add([b"seen"], row(2))
    cache.add([b"often"], row(3))
    assert cache.annotate([b"labelled", b"nobody's"], [7, 7]) == 1
    for _ in range(3):
        cache.predicted([b"often"])
    assert cache.evict(has_ended=False) == {}
    assert cache.evict(has_ended=True) == {eviction.NOT_ANNOTATED: 1}
    found = cache.find([b"labelled", b"seen", b"often"])
    assert [None if r is None else r[0] for r in found] == [1, None, 3]
    # Another model comes: what the first one's frozen layers made is older than it.
    clock.now_s += 10
    other = opened(tmp_path, "b", clock)
    other.add([b"labelled"], row(4))
    assert other.evict(has_ended=False) == {}
    assert other.evict(has_ended=False, makers=["a"]) == {eviction.OLD: 2}
    assert cache.find([b"labelled"]) == [None]
    assert other.find([b"labelled"])[0] is not None
    # The room is given back with the last row of a block.
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    cache.close()
    other.close()
    changed = opened(tmp_path, "b", clock, hyper="g")
    assert changed.evict(has_ended=False) == {eviction.OTHER_HYPER_PARAMETERS: 1}
    changed.close()
