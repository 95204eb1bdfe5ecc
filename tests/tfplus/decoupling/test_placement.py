"""Who trains what, against trying every assignment."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.decoupling import placement, plan_folder
from tfplus.decoupling.placement import Device, Work, cut_classes, judge, propose, ring_order
from tfplus.decoupling.plan import Plan

CLASSES = (0, 1, 2)
WORK = Work(10, 5, 40, 20)


def device(name: str, speed: float, memory: int | None, **samples: int) -> Device:
    return Device(name, speed, memory, {int(k[1:]): n for k, n in samples.items()})


def small_fleets() -> st.SearchStrategy[list[Device]]:
    samples = st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 9), min_size=1)
    memory = st.one_of(st.none(), st.integers(30, 110))
    made = st.tuples(st.sampled_from([1.0, 2.0, 8.0]), memory, samples)
    return st.lists(made, min_size=1, max_size=3).map(
        lambda found: [Device(f"d{i}", *given) for i, given in enumerate(found)]
    )


def every(devices: list[Device]) -> list[dict[str, tuple[int, ...]]]:
    """Every assignment that data and memory allow."""
    options = []
    for one in devices:
        known = [c for c in CLASSES if one.samples.get(c)]
        sets = [s for k in range(len(known) + 1) for s in itertools.combinations(known, k)]
        limit = one.memory_bytes
        options.append([s for s in sets if not s or limit is None or 40 + 20 * len(s) <= limit])
    names = [d.name for d in devices]
    return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*options)]


def slowest(devices: list[Device], held: dict[str, tuple[int, ...]]) -> float:
    return max(
        sum(d.samples.values()) * (10 + 5 * len(held[d.name])) / d.flops_per_s
        if held[d.name]
        else 0.0
        for d in devices
    )


@settings(max_examples=40)
@given(small_fleets(), st.integers(1, 2))
def test_no_other_assignment_has_more_holders_or_is_faster(
    devices: list[Device], holders: int
) -> None:
    found = propose(devices, CLASSES, WORK, holders=holders)
    possible = every(devices)
    assert {n: tuple(c) for n, c in found.classes.items()} in possible

    def covered(held: dict[str, tuple[int, ...]], wanted: int) -> int:
        return sum(min(wanted, sum(c in s for s in held.values())) for c in CLASSES)

    own = dict(found.classes)
    # First as many classes as possible with a holder, then as many holders as are wanted.
    best_first = max(covered(held, 1) for held in possible)
    assert covered(own, 1) == best_first
    rest = [held for held in possible if covered(held, 1) == best_first]
    best = max(covered(held, holders) for held in rest)
    assert covered(own, holders) == best
    counts = {c: min(holders, sum(c in s for s in own.values())) for c in CLASSES}
    equal = [
        held
        for held in rest
        if all(sum(c in s for s in held.values()) >= n for c, n in counts.items())
    ]
    assert slowest(devices, own) == pytest.approx(min(slowest(devices, held) for held in equal))


@given(st.lists(st.sets(st.integers(0, 4)), min_size=2, max_size=5))
@settings(max_examples=30)
def test_what_is_warned_of_is_so(sets: list[set[int]]) -> None:
    held = {f"d{i}": tuple(sorted(s)) for i, s in enumerate(sets)}
    devices = [Device(n, 1.0, None, dict.fromkeys(c, 1)) for n, c in held.items()]
    found = judge(devices, range(5), WORK, held, "ring")
    for label in range(5):
        count = sum(label in s for s in sets)
        assert (label in found.alone) == (count == 1)
        assert (label in found.nobody) == (count == 0)
        # Reached from one holder over neighbours that hold it, too.
        order = list(found.order)
        reached = {next((n for n in order if label in held[n]), "")}
        for _ in order:
            for i, name in enumerate(order):
                ends = {order[i - 1], order[(i + 1) % len(order)]}
                if label in held[name] and reached & ends:
                    reached.add(name)
        assert (label in found.cut) == (count > 0 and len(reached) < count)
    for a, b in itertools.combinations(range(5), 2):
        both = all(any(c in s for s in sets) for c in (a, b))
        assert ((a, b) in found.apart) == (both and not any({a, b} <= s for s in sets))
    best = min(
        len(cut_classes((order[0], *others), held, range(5)))
        for order in [list(held)]
        for others in itertools.permutations(order[1:])
    )
    assert len(found.cut) == best


def test_a_large_ring_keeps_neighbours_together() -> None:
    held = {f"d{i}": (i % 12, (i + 1) % 12) for i in (5, 1, 9, 3, 0, 7, 11, 2, 8, 4, 10, 6)}
    order = ring_order(list(held), held)
    assert len(cut_classes(order, held, range(12))) < len(cut_classes(list(held), held, range(12)))


def test_spare_time_lets_pairs_meet() -> None:
    slow = device("slow", 1.0, None, c0=10, c1=10)
    fast = device("fast", 100.0, None, c1=10, c2=10, c0=10)
    found = propose([slow, fast], CLASSES, WORK, holders=1)
    assert found.classes == {"slow": (), "fast": (0, 1, 2)}
    assert found.apart == ()
    assert found.epoch_s == {"slow": 0.0, "fast": pytest.approx(30 * 25 / 100)}


FLEET = """
[[device]]
name = "pi"
gflops = 2.0
memory_mb = 64
samples = { 4 = 30, 7 = 30 }

[[device]]
name = "phone"
gflops = 8.5
samples = { 7 = 12, 2 = 50 }
"""


@pytest.fixture
def folder(plan: Plan, tmp_path: Path) -> Path:
    plan_folder.write(tmp_path / "plan", plan, lambda path: path.write_bytes(b"keras"))
    return tmp_path / "plan"


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    return done.exit_code, done.stdout, " ".join(done.stderr.split())


def test_the_command_prints_exports_and_warnings(folder: Path, plan: Plan, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(FLEET)
    counted = tmp_path / "counted"
    known = {"shared": plan.costs.whole}
    from dataclasses import replace

    full = replace(plan, costs=replace(plan.costs, **known))
    plan_folder.write(counted, full, lambda path: path.write_bytes(b"keras"))
    code, out, err = run("assign", counted, "--devices", fleet)
    assert code == 0, err
    assert f"tfplus export {counted} --classes 4,7 -o pi.tflite" in out
    assert f"tfplus export {counted} --classes 2,7 -o phone.tflite" in out
    assert "warning: classes [4, 2] have one holder" in err
    assert "2 and 4" in err
    code, out, _ = run("assign", counted, "--devices", fleet, "--json", "--topology", "mesh")
    said = json.loads(out)
    assert said["classes"] == {"pi": [4, 7], "phone": [2, 7]}
    assert len(said["warnings"]) == 2
    code, _, err = run("assign", folder, "--devices", fleet)
    assert code == 2
    assert "products are not counted" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device = 1", "device: expected a list"),
        ("[[device]]\nname = 'a'\ngflops = 0\nsamples = {}", "gflops: expected a number above 0"),
        ("[[device]]\nname = 'a'\ngflop = 1\nsamples = {}", "gflop: unknown key"),
        ("[[device]]\nname = 'a'\ngflops = 1\nsamples = { x = 1 }", "a class's label"),
        ("[[device]]\nname = 'a'\ngflops = 1\nsamples = { 4 = -1 }", "4"),
        ("[[device]]\nname = 'a'\ngflops = 1\nsamples = { 3 = 1 }", "classes [3]"),
        (FLEET.replace("phone", "pi"), "a name of its own"),
        ("[[", "expected TOML"),
        ("", "device is missing"),
    ],
)
def test_a_fleet_is_checked(folder: Path, tmp_path: Path, text: str, message: str) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(text)
    code, _, err = run("assign", folder, "--devices", fleet)
    assert code == 2
    assert message in err


def test_devices_come_from_one_place(folder: Path) -> None:
    assert placement.ring_order(["a"], {"a": (1,)}) == ("a",)
    for more in ((), ("--devices", "f.toml", "--agent", "h:1"), ("--topology", "star")):
        code, _, err = run("assign", folder, *more)
        assert code == 2
        assert "expected" in err


def test_room_that_is_left_is_used_for_pairs() -> None:
    equal = [device(name, 1.0, None, c0=1, c1=1, c2=1) for name in ("a", "b")]
    found = propose(equal, CLASSES, WORK, holders=1)
    # Three branches on two devices: one has two, and as long the other has time for two.
    assert sorted(len(c) for c in found.classes.values()) == [2, 2]
    assert len(found.apart) == 1
