"""The Dockerfile, read: nothing here can build it, but much that goes wrong can be seen."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker" / "Dockerfile"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = (line.strip().partition(" ") for line in text.splitlines() if line.strip())
    return [(name, " ".join(rest.split())) for name, _, rest in lines]


def test_both_stages_are_one_debian(instructions: list[tuple[str, str]]) -> None:
    """The environment's Python is a link into the image that it was made in."""
    bases = [rest.split()[0] for name, rest in instructions if name == "FROM"]
    assert bases == ["debian:bookworm-slim"] * 2


def test_what_it_copies_is_there_and_not_ignored(instructions: list[tuple[str, str]]) -> None:
    sources = [
        source
        for name, rest in instructions
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    kept = Path(f"{FILE}.dockerignore").read_text().split()
    assert len(sources) > 4
    assert [s for s in sources if not (ROOT / s).exists() or f"!{s}" not in kept] == []


def test_everything_that_the_build_reads_is_copied(instructions: list[tuple[str, str]]) -> None:
    copied = " ".join(rest for name, rest in instructions if name == "COPY").split()
    project = (ROOT / "pyproject.toml").read_text()
    (packages,) = re.findall(r"^packages = \[(.*)\]$", project, re.MULTILINE)
    named = [p.strip(' "').partition("/")[0] for p in packages.split(",")]
    files = re.findall(r'^(?:readme = |license-files = \[)"(\w[\w.]*)"', project, re.MULTILINE)
    assert set(named + files) <= set(copied)
    assert len(files) == 2


def test_it_runs_without_root_and_says_how_it_is(instructions: list[tuple[str, str]]) -> None:
    last = dict(instructions)
    order = [name for name, _ in instructions]
    assert last["USER"].isdigit()
    assert int(last["USER"]) > 0
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert json.loads(last["ENTRYPOINT"]) == ["tfplus", "agent"]
    assert "tfplus agent health" in last["HEALTHCHECK"]
    assert last["STOPSIGNAL"] == "SIGTERM"
