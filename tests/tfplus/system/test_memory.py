"""The memory that a container allows counts where it is less than the machine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfplus.system import memory


@pytest.mark.parametrize(("text", "limit"), [("1000000\n", 10**6), ("max\n", None), (None, None)])
def test_total(tmp_path: Path, text: str | None, limit: int | None) -> None:
    if text is not None:
        (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
        (tmp_path / "sys/fs/cgroup/memory.max").write_text(text)
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    physical = int(fields["MemTotal"].split()[0]) * 1024
    assert memory.total_bytes(tmp_path) == pytest.approx(limit or physical, rel=0.05)
