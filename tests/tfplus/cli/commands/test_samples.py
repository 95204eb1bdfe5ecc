from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.data.store.sample_store import SampleStore

X = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)


def samples(*arguments: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["samples", *arguments])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if "--json" in arguments and not code else done.output


def test_the_whole_life_of_samples() -> None:
    added = samples("add", "s.db", "x.npy", "--label", "3", "--json")
    assert added == {"samples": [{"id": 1, "new": True, "label": 3}]}
    Image.fromarray(X[:, :, 0]).save("grey.png")
    assert "expected a sample of uint8[2, 4, 3], got uint8[2, 4, 1]" in samples(
        "add", "s.db", "grey.png", "--label", "1", code=3
    )
    Image.fromarray(X + 1).save("colour.png")
    text = samples("add", "s.db", "colour.png", "--label", "1", "--name", "a photo")
    assert "sample 2 stored, with label 1" in text
    assert samples("correct", "s.db", "2", "--label", "7", "--json") == {"id": 2, "label": 7}
    listed = samples("list", "s.db", "--json")
    assert (listed["count"], listed["shape"], listed["dtype"]) == (2, [2, 4, 3], "uint8")
    assert [(s["id"], s["label"]) for s in listed["samples"]] == [(1, 3), (2, 7)]
    assert "more with --after 1" in samples("list", "s.db", "--limit", "1")
    with SampleStore(Path("s.db")) as store:
        np.testing.assert_array_equal(store.read([2])[2], X + 1)
    assert samples("forget", "s.db", "1", "5", "--json") == {"forgotten": 1}
    text = samples("list", "s.db")
    assert "a photo" in text
    assert "1 samples of uint8[2, 4, 3]" in text


def test_a_data_set_is_stored_whole_and_once() -> None:
    np.savez("d.npz", x=np.arange(12).reshape(4, 3), y=[0, 1, 2, 0])
    assert "4 samples stored, 0 were" in samples("add", "s.db", "--from", "d.npz")
    assert "0 samples stored, 4 were" in samples("add", "s.db", "--from", "d.npz")
    np.savez("d.npz", x=np.arange(12).reshape(4, 3), y=[0.5, 1, 2, 0])
    assert "expected an integer label" in samples("add", "s.db", "--from", "d.npz", code=3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["add", "s.db"], 2, "expected a file and its --label, or --from"),
        (["add", "s.db", "x.npy"], 2, "expected a file and its --label, or --from"),
        (["add", "s.db", "x.npy", "--label", "1", "--from", "d.npz"], 2, "without them"),
        (["add", "s.db", "none.npy", "--label", "1"], 3, "none.npy: no such file"),
        (["add", "none/s.db", "x.npy", "--label", "1"], 3, "none/s.db: No such file"),
        (["add", "x.npy", "x.npy", "--label", "1"], 3, "expected a store of samples"),
        (["list", "s.db"], 3, "no such store of samples; `tfplus samples add` makes one"),
        (["correct", "s.db", "1", "--label", "1"], 3, "no such store"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], code: int, message: str) -> None:
    assert message in samples(*arguments, code=code)
    assert not Path("s.db").exists()
