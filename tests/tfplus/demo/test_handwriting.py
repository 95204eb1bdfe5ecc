"""The handwriting demo, two rounds of it, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tfplus.features.index import Index
from tfplus.features.uploads import Uploads

pytestmark = pytest.mark.slow


def test_a_user_is_learned_from_corrections(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "tfplus", "demo", "handwriting", "--rounds", "2", "--json",
         "-o", str(folder)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result == json.loads((folder / "result.json").read_text())
    assert result["accuracy_after"] > result["accuracy_before"] + 0.03
    corrections = [row["corrections"] for row in result["rounds"]]
    # What is corrected was predicted before: its features are in the cache.
    assert [row["cache_hits"] for row in result["rounds"]] == corrections
    assert sum(corrections) > 3
    index = Index(folder / "device-features")
    uploads = Uploads(index.db).every()
    index.close()
    assert [upload.samples for upload in uploads] == corrections
    assert all(row["received_bytes"] < row["whole_bytes"] / 3 for row in result["rounds"])
    # Every right answer was dropped when its session ended.
    assert [row["dropped"] for row in result["rounds"]] == [40 - n for n in corrections]
