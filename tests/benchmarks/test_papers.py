"""The papers' experiments: who knows what, the baselines' arithmetic, and what a verdict says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from papers import heterofl, networks, tuning
from papers.data import Samples, deal
from papers.experiments import Claim, around, drawn
from papers.learning import Curve
from papers.results import OutOfTimeError, Results
from papers.tuning import tuned
from papers.verdicts import affordable, interval, reached, spent, verdict

from tfplus_export.tracing.naming import variable_names

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_devices_lie_around_the_classes_and_share_some_with_their_neighbours() -> None:
    known = around(10, 4, 5)
    assert known == ((0, 1, 2, 3, 4), (2, 3, 4, 5, 6), (5, 6, 7, 8, 9), (0, 1, 2, 8, 9))
    assert all(set(a) & set(b) for a, b in zip(known, (*known[1:], known[0]), strict=True))
    random = drawn(10, 3, 5, seed=1)
    assert random == drawn(10, 3, 5, seed=1)
    assert {c for own in random for c in own} == set(range(10))
    assert {len(set(own)) for own in random} == {5}


def test_every_sample_goes_to_one_device_that_knows_its_class() -> None:
    y = np.repeat(np.arange(4, dtype=np.int32), 6)
    x = np.arange(24, dtype=np.float32).reshape(24, 1, 1, 1)
    holders = {"a": (0, 1), "b": (1, 2), "c": (1, 2, 3)}
    dealt = deal(Samples(x, y), holders, seed=0)
    assert sorted(np.concatenate([d.x.reshape(-1) for d in dealt.values()])) == list(range(24))
    for name, samples in dealt.items():
        assert set(samples.y.tolist()) == set(holders[name])
    assert [int((d.y == 1).sum()) for d in dealt.values()] == [2, 2, 2]


def test_heads_of_single_classes_give_the_networks_logits() -> None:
    networks.keras.utils.set_random_seed(0)
    model = networks.network((8, 8, 1), 3)
    names = variable_names(model)
    weights = networks.headed_weights({names[id(v)]: np.array(v) + 0.01 for v in model.variables})
    for variable in model.variables:
        variable.assign(variable + 0.01)
    headed = networks.headed((8, 8, 1), 3)
    own = variable_names(headed)
    assert set(own.values()) == set(weights)
    for variable in headed.variables:
        variable.assign(weights[own[id(variable)]])
    x = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    np.testing.assert_allclose(np.asarray(headed(x)), np.asarray(model(x)), rtol=0, atol=1e-6)


class Fake:
    """A device that adds a number to each of its weights."""

    def __init__(self, size: int, samples: int, added: float) -> None:
        self.weights = {"w": np.zeros((2, size), np.float32)}
        self.samples = range(samples)
        self._added = added

    def train(self, _: int, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {n: w + np.float32(self._added) for n, w in weights.items()}


def test_nested_widths_are_averaged_over_those_that_have_them() -> None:
    devices: Any = {"wide": Fake(3, 30, 1.0), "narrow": Fake(1, 10, 5.0)}
    start = {"w": np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)}
    course, wholes = heterofl.learn(devices, start, 1)
    expected = start["w"].copy()
    expected[:, 0] += (30 * 1 + 10 * 5) / 40
    expected[:, 1:3] += 1  # The wide one alone; the last column has nobody.
    np.testing.assert_allclose(wholes[1]["w"], expected)
    np.testing.assert_array_equal(course[1]["narrow"]["w"], wholes[1]["w"][:, :1])
    np.testing.assert_array_equal(wholes[0]["w"], start["w"])


def test_widths_cost_what_is_wanted() -> None:
    wide, narrow = heterofl.widths((8, 8, 1), 2, 2_000_000)
    assert narrow == wide / 2
    costs = [
        heterofl.layer_flops.of_model(networks.headed((8, 8, 1), 2, w)).step
        for w in (wide, narrow, wide + 1 / 8, (wide + 1 / 8) / 2)
    ]
    assert abs(sum(costs[:2]) / 2 - 2e6) <= abs(sum(costs[2:]) / 2 - 2e6)


def test_an_interval_is_students() -> None:
    found = interval([0.5, 0.6, 0.7])
    # Deviation 0.1, over √3, times 4.303 for two degrees of freedom.
    assert found.mean == pytest.approx(0.6)
    assert found.half == pytest.approx(0.1 / 3**0.5 * 4.303, rel=1e-3)
    assert interval([0.5]).half is None


def curve(*whole: float, flops: float = 1.0, once: float = 0.0) -> dict[str, Any]:
    return {"whole": whole, "flops": flops, "once": once}


def test_verdicts() -> None:
    claim = Claim("a ahead of b", "a", "b", 0.03)

    def said(*pairs: tuple[float, float]) -> str:
        seeds = [{"a": curve(0, a, a, a), "b": curve(0, b, b, b)} for a, b in pairs]
        return verdict(claim, seeds)

    assert said((0.9, 0.8), (0.9, 0.8), (0.91, 0.81)).startswith("holds (+10.0")
    assert said((0.8, 0.8), (0.81, 0.8), (0.8, 0.81)).startswith("does not hold")
    assert said((0.9, 0.8), (0.8, 0.8), (0.8, 0.8)).startswith("not settled; the mean speaks for")
    assert said((0.9, 0.8)) == "holds on the one seed (+10.0 points)"
    equal = Claim("at equal work", "a", "b", 0.0, same_computation=True)
    curves = {"a": curve(0.1, 0.2, 0.3, 0.4), "b": curve(0.1, 0.25, 0.5, 0.9, flops=3.0)}
    # Three rounds of a pay for one of b.
    assert verdict(equal, [curves]) == "holds on the one seed (+15.0 points)"
    # With features to compute first b has no round at all, and stays where it began.
    curves["b"]["once"] = 1.0
    assert verdict(equal, [curves]) == "holds on the one seed (+30.0 points)"
    assert verdict(Claim("", "a", "c", 0.0), [curves]) == "not measured here"


def test_calibrated_systems_are_compared_with_each_other() -> None:
    claim = Claim("calibrated", "a", "b", -0.02, calibrated=True)
    curves = {"a": curve(0.1, 0.2) | {"calibrated": 0.7}, "b": curve(0.1, 0.9)}
    curves["b"]["calibrated"] = 0.71
    assert verdict(claim, [curves]) == "holds on the one seed (-1.0 points)"


def test_each_system_gets_the_rate_with_which_it_came_furthest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = {0.1: (0.5, 0.6), 0.2: (0.7, 0.6), 0.4: (0.6, 0.0)}

    class Learned:
        def __init__(self, rate: float) -> None:
            self.rate = rate
            self.learned: dict[str, Curve] = {}

    def curves(systems: Any) -> None:
        for name, end in zip(("ring", "fedavg"), ends[systems.rate], strict=True):
            # What came before the end does not count.
            systems.learned[name] = Curve((0.9, 0.9, end), (0, 0, 0), 1.0, 0.0, 0.0)

    experiment: Any = type("Experiment", (), {"curves": staticmethod(curves)})
    monkeypatch.setattr(tuning, "EXPERIMENTS", {"kept": experiment})
    systems_at: Any = Learned
    assert tuned(systems_at, ["kept"], ends) == {"ring": 0.2, "fedavg": 0.1}


def test_an_accuracy_is_a_mean_over_the_last_fifth_of_the_rounds() -> None:
    long = curve(*(float(i) for i in range(21)))
    assert reached(long, 20) == pytest.approx((18 + 19 + 20) / 3)
    assert reached(long, 10) == pytest.approx((9 + 10) / 2)
    assert [reached(long, n) for n in (0, 1, 9)] == [0.0, 1.0, 9.0]
    assert spent(curve(0.0, 0.0, 0.0, flops=2.0, once=5.0)) == 9.0
    assert affordable(curve(*[0.0] * 9, flops=2.0, once=5.0), 10.9) == 2


def test_what_was_learned_is_read_again_under_the_same_setting(tmp_path: Path) -> None:
    made: list[str] = []

    def learned(name: str) -> Curve:
        made.append(name)
        return Curve((0.1, 0.2), (0.3, 0.4), 5.0, 6.0, 7.0, 8.0)

    given = {"known": ((0, 1),), "rate": 0.1}
    first = Results(tmp_path, {"epochs": 1}, 60.0).of(0, "ring", given, lambda: learned("a"))
    later = Results(tmp_path, {"epochs": 1}, -1.0)
    assert later.of(0, "ring", given, lambda: learned("b")) == first
    assert made == ["a"]
    for seed, name, other in (
        (1, "ring", given),
        (0, "mesh", given),
        (0, "ring", given | {"known": ((0,),)}),
        (0, "ring", given | {"rate": 0.2}),
    ):
        with pytest.raises(OutOfTimeError):
            later.of(seed, name, other, lambda: learned("c"))
    Results(tmp_path, {"epochs": 2}, 60.0).of(0, "ring", given, lambda: learned("d"))
    assert made == ["a", "d"]
