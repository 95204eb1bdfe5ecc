"""Whole scenarios: closed forms of agreement, membership with averaging, equal seeds."""

from __future__ import annotations

import dataclasses
import doctest
import math
from pathlib import Path

import pytest

from tfplus.errors import UsageError
from tfplus.gossip.simulation import run as run_module
from tfplus.gossip.simulation import scenario_file
from tfplus.gossip.simulation.run import run
from tfplus.gossip.simulation.scenario import Scenario

CALM = Scenario(nodes=12, rounds=40, values=4, membership=False)


@pytest.mark.parametrize(
    "change",
    [
        {"topology": "ring"},
        {"topology": "exponential", "nodes": 48, "rounds": 25},
        {"topology": "random-regular"},
        {"topology": "line", "rounds": 100},
        {"topology": "star", "mixing": "uniform"},
        {"topology": "custom", "links": tuple((f"n{i:02}", f"n{i // 2:02}") for i in range(1, 12))},
    ],
)
def test_nodes_agree_as_fast_as_the_eigenvalues_say(change: dict[str, object]) -> None:
    report = run(dataclasses.replace(CALM, **change))
    assert report.predicted_rate is not None
    assert report.rate == pytest.approx(report.predicted_rate, rel=0.03)
    if report.scenario.mixing == "metropolis":
        assert all(f.drift < 1e-6 for f in report.rounds)


def test_the_rate_of_a_ring_has_a_closed_form_and_a_mesh_agrees_at_once() -> None:
    ring = run(CALM)
    assert ring.predicted_rate == pytest.approx((1 + 2 * math.cos(2 * math.pi / 12)) / 3)
    assert run(dataclasses.replace(CALM, topology="mesh", rounds=2)).rounds[0].error < 1e-6


def test_one_peer_a_round_agrees_after_log_n_rounds_at_one_contribution_each() -> None:
    report = run(
        dataclasses.replace(
            CALM, nodes=16, topology="one-peer-exponential", rounds=6, stragglers=0.3,
            round_timeout_s=60,
        )
    )  # fmt: skip
    errors = [f.error for f in report.rounds]
    assert errors[2] > 0.1
    assert errors[3] < 1e-6
    assert [f.nodes for f in report.rounds] == [16] * 6
    ring = run(dataclasses.replace(CALM, nodes=16, rounds=6))
    assert sum(report.node_bytes.values()) == pytest.approx(sum(ring.node_bytes.values()) / 2, 0.01)


def test_bytes_of_a_node_do_not_grow_with_the_number_of_nodes() -> None:
    reports = [run(Scenario(nodes=n, rounds=10, seed=1)) for n in (10, 90)]
    small, large = (max(r.node_bytes.values()) for r in reports)
    assert large == pytest.approx(small, rel=0.01)
    small, large = (sum(r.membership_bytes.values()) / r.scenario.nodes for r in reports)
    assert large < 1.3 * small


STORM = Scenario(
    nodes=20, rounds=25, seed=4, loss=0.05, churn=0.2, away_s=15, stragglers=0.1,
    partitions=((5, 12, 0.3),), round_timeout_s=5,
)  # fmt: skip


def test_equal_scenarios_are_equal_to_the_bit_and_all_nodes_finish_in_a_storm() -> None:
    told: list[dict[str, object]] = []
    once, again = run(STORM, told.append), run(STORM)
    assert once == again
    assert once.finished == 20
    assert {t["event"] for t in told} >= {"round", "suspect", "dead", "alive"}
    assert run(dataclasses.replace(STORM, seed=5)).trace_sha256 != once.trace_sha256


def test_links_are_made_anew_where_a_node_stays_away() -> None:
    gone = tuple((f"n{i}", 0.0, 8.5) for i in (3, 7))
    scenario = Scenario(nodes=10, rounds=60, values=4, availability=gone, round_timeout_s=40)
    report = run(scenario)
    assert report.finished == 8
    assert {d.node for d in report.detections} == {"n3", "n7"}
    for detection in report.detections:
        assert detection.suspected_s is not None
        assert detection.suspected_s < 12
        assert detection.dead_s is not None
        assert detection.all_s is not None
        assert detection.dead_s <= detection.all_s < 40
    # A ring of eight, closed again: nobody is missing, and all agree as fast as one.
    assert [f.missing for f in report.rounds[-30:]] == [0] * 30
    assert report.rate == pytest.approx((1 + 2 * math.cos(2 * math.pi / 8)) / 3, rel=0.02)
    left = run(dataclasses.replace(scenario, reform=False))
    assert left.rounds[-1].missing == 4
    # Found dead, and not waited for: of the timeout of 40 s nothing was lost in either.
    assert left.virtual_s < 60 + 40


def test_a_late_node_and_one_that_comes_back_catch_up() -> None:
    spans = (("n2", 20.0, math.inf), ("n5", 0.0, 5.5), ("n5", 40.0, math.inf))
    report = run(Scenario(nodes=8, rounds=80, values=4, availability=spans))
    assert report.finished == 8
    assert report.rounds[-1].nodes == 8
    assert report.rounds[-1].error < 0.01
    (gone,) = report.detections
    assert gone.back_s is not None
    assert gone.back_s < 15


def test_a_scenario_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "who.txt").write_text("n1 0 5  # then gone\nn1 9 inf\n")
    file = tmp_path / "s.toml"
    file.write_text(
        "nodes = 4\nloss = 0\ndelay_s = [0, 1]\npartitions = [[1, 2, 0.5]]\n"
        "availability = 'who.txt'\n"
    )
    scenario = scenario_file.scenario(scenario_file.read_values(file))
    assert scenario == Scenario(
        nodes=4,
        delay_s=(0, 1),
        partitions=((1, 2, 0.5),),
        availability=(("n1", 0, 5), ("n1", 9, math.inf)),
    )


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("nodez = 3", "'nodez': expected one of nodes"),
        ("nodes = 'x'", "nodes: expected a whole number"),
        ("nodes = 0", "nodes: expected 1 to"),
        ("loss = 2.0", "loss: expected 0 to 1"),
        ("topology = 'torus'", "topology 'torus'"),
        ("topology = 'custom'", "links"),
        ("delay_s = [3]", "2 numbers"),
        ("partitions = [[3, 1, 0.5]]", "FROM < TO"),
        ("nodes = ", "expected TOML"),
    ],
)
def test_what_is_no_scenario_is_refused(tmp_path: Path, text: str, wrong: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=wrong):
        scenario_file.scenario(scenario_file.read_values(file))


def test_the_example_of_the_docstring_holds() -> None:
    found = doctest.testmod(run_module, extraglobs={"Scenario": Scenario})
    assert found.attempted
    assert not found.failed
