"""Queues of jobs in a directory of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from job_fakes import Opener


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    opener = Opener(tmp_path / "jobs")
    yield opener
    for queue in opener.queues:
        queue.close()
