"""The model of `tfplus doctor`: the committed files are what the exporter makes."""

from __future__ import annotations

from pathlib import Path

import doctor_model
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

pytestmark = pytest.mark.slow


def test_the_committed_probe_is_what_is_made_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES"):
        monkeypatch.setenv(name, "/nonexistent")
    doctor_model.write(tmp_path)
    assert doctor_model.differences(doctor_model.FOLDER, tmp_path) == []
    steps = load_file(tmp_path / doctor_model.STEPS)
    save_file({**steps, "loss": steps["loss"] * np.float32(1.01)}, tmp_path / doctor_model.STEPS)
    (found,) = doctor_model.differences(doctor_model.FOLDER, tmp_path)
    assert "loss" in found
