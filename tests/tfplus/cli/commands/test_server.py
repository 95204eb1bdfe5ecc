"""`tfplus server`: where its state lies is said once, and what is wrong with it is told."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tfplus.cli.commands.server import app
from tfplus.errors import MissingExtraError, UnreachableError, UsageError

URL = "postgresql://u:geheim@127.0.0.1:1/d"


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ([], None),
        (["--state-dir", "hub", "--database", URL], None),
        (["--state-dir", "hub"], URL),
    ],
)
def test_a_state_is_given_once(options: list[str], environment: str | None) -> None:
    done = CliRunner().invoke(app, ["m.tflite", *options], env={"TFPLUS_DATABASE": environment})
    assert isinstance(done.exception, UsageError)
    assert "one of them" in str(done.exception)


def test_a_data_base_may_be_named_in_the_environment() -> None:
    done = CliRunner().invoke(app, ["m.tflite"], env={"TFPLUS_DATABASE": URL})
    assert isinstance(done.exception, UnreachableError)
    assert "u:***@127.0.0.1:1/d: the data base cannot be reached" in str(done.exception)
    assert "geheim" not in str(done.exception)


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name != "pg8000" and find(name))
    done = CliRunner().invoke(app, ["m.tflite", "--state-dir", str(tmp_path / "hub")])
    assert isinstance(done.exception, MissingExtraError)
    assert "tfplus[server]" in str(done.exception)
    assert not (tmp_path / "hub").exists()


def test_no_help_shows_a_password() -> None:
    done = CliRunner().invoke(app, ["--help"], env={"TFPLUS_DATABASE": URL})
    assert done.exit_code == 0
    assert "TFPLUS_DATABASE" in done.stdout
    assert "geheim" not in done.stdout
