"""The reconstruction test: its measures, and that it tells what is revealed from what is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from features import reconstruction

SCRIPT = Path(reconstruction.__file__)


def test_the_nearest_image_is_found() -> None:
    true = np.random.default_rng(0).random((40, 8, 8, 1), np.float32)
    assert reconstruction.found(true, true) == 1
    assert reconstruction.found(true[::-1], true) == 0
    half = np.concatenate([true[:10], true[:10][::-1], true[20:]])
    assert reconstruction.found(half, true) == pytest.approx(30 / 40)
    # One guess for all is right once.
    assert reconstruction.found(np.broadcast_to(true[3], true.shape), true) == 1 / 40


def test_the_halves_share_no_image() -> None:
    (public, users), (labels, truth) = reconstruction.halves(0)
    assert len(public) + len(users) == len(labels) + len(truth) == 1797
    keys = [{image.tobytes() for image in half} for half in (public, users)]
    assert not keys[0] & keys[1]
    again, other = reconstruction.halves(0)[0][0], reconstruction.halves(1)[0][0]
    np.testing.assert_array_equal(public, again)
    assert not np.array_equal(public, other)


def test_the_table_names_what_was_measured() -> None:
    row = {"psnr_db": 10.0, "ssim": 0.5, "found": 0.25}
    about = {"point": "p", "numbers": 4, "noise": 0.2, "epsilon": 2.0, "head": 0.5}
    seeds = [
        [{"point": "none", **row}, {**row, **about, "psnr_db": psnr_db}] for psnr_db in (10.0, 13.0)
    ]
    lines = reconstruction.table(reconstruction.together(seeds)).splitlines()[2:]
    assert lines == [
        "| none | | | | 10.0 | 0.50 | 25.0% | |",
        "| `p` | 4 | 0.2 | 2 | 11.5 | 0.50 | 25.0% | 50.0% |",
    ]
    assert all(line.count("|") == reconstruction.HEAD.splitlines()[0].count("|") for line in lines)


@pytest.mark.exhaustive
def test_more_is_made_of_an_early_layer_and_less_with_noise() -> None:
    command = [sys.executable, str(SCRIPT), "--points", "backbone_pool1", "head_logits"]
    command += ["--noise", "2", "--epochs", "20", "--seeds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    mean, by_label, early, noisy, late, _ = json.loads(done.stdout)
    # By the definition: 10 log10 of one over the mean squared error, image by image.
    (public, users), _ = reconstruction.halves(0)
    errors = np.mean((users - public.mean(0)) ** 2, axis=(1, 2, 3), dtype=np.float64)
    assert mean["psnr_db"] == pytest.approx(-10 * np.log10(errors).mean(), rel=1e-4)
    assert mean["found"] == pytest.approx(1 / len(users), rel=0.01)
    for key in ("psnr_db", "ssim", "found"):
        assert mean[key] <= by_label[key] < early[key]
        assert late[key] < early[key]
        assert noisy[key] < early[key]
    assert early["noise"] is None
    assert noisy["epsilon"] == pytest.approx(4.38, abs=0.01)
    assert early["head"] > 0.8
