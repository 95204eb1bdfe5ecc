"""`tfplus simulate`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from tfplus.cli.main import app

SMALL = ["simulate", "--nodes", "6", "--rounds", "12", "--seed", "3", "--loss", "0.05"]


def typed(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.stdout, done.stderr


def test_figures_say_that_they_are_of_a_simulation_and_replay() -> None:
    code, out, _ = typed(*SMALL)
    assert code == 0
    assert out.startswith("SIMULATION of 6 nodes, ring, metropolis, seed 3: no device took part.")
    assert "6 of 6 finished 12 rounds" in out
    once, again = typed(*SMALL, "--json"), typed(*SMALL, "--json")
    assert once[:2] == again[:2]
    figures = json.loads(once[1])
    assert figures["simulation"] is True
    assert len(figures["rounds"]) == 12
    assert set(figures["node_bytes"]) == {f"n{i}" for i in range(6)}


def test_a_file_and_options_that_count_for_more(tmp_path: Path) -> None:
    file, trace = tmp_path / "s.toml", tmp_path / "trace.jsonl"
    file.write_text("nodes = 5\nrounds = 3\nmembership = false\n")
    code, out, _ = typed("simulate", str(file), "--nodes", "4", "--json", "--trace", str(trace))
    assert code == 0
    figures = json.loads(out)
    assert (figures["scenario"]["nodes"], figures["scenario"]["rounds"]) == (4, 3)
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert len(lines) == 12
    assert {line["event"] for line in lines} == {"round"}


def test_int8_costs_a_quarter_of_float32_where_tensors_are_large() -> None:
    costs = {}
    for codec in ("float32", "int8"):
        _, out, _ = typed(*SMALL, "--no-membership", "--values", "6000", "--codec", codec, "--json")
        costs[codec] = sum(json.loads(out)["node_bytes"].values())
    assert costs["int8"] < 0.27 * costs["float32"]


def test_mistakes_are_told_without_a_traceback(tmp_path: Path) -> None:
    links = tmp_path / "links.txt"
    links.write_text("n0 n1\nn2 n3\n")
    for arguments, wrong in (
        (["--topology", "torus"], "topology 'torus': expected one of ring"),
        (["--partition", "3"], "expected FROM:TO:SHARE"),
        (["--codec", "zip"], "codec 'zip': expected one of"),
        (["--nodes", "4", "--links", str(links)], "fall into 2 parts"),
        (["--topology", "random-regular", "--degree", "3", "--nodes", "9"], "even product"),
        ([str(tmp_path / "none.toml")], "No such file"),
    ):
        code, out, err = typed("simulate", *arguments)
        assert (code in (2, 3), out) == (True, "")
        assert wrong in err
        assert "Traceback" not in err
