"""What an agent holds: memory, descriptors and threads of its processes, and files on its disk."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from soak.growth import Limit

_MIB = 1 << 20
LIMITS: Mapping[str, Limit] = {
    "daemon_anonymous_bytes": Limit(_MIB, 0.02),
    "daemon_rss_bytes": Limit(_MIB, 0.02),
    "worker_anonymous_bytes": Limit(_MIB, 0.02),
    "daemon_descriptors": Limit(0.5),
    "worker_descriptors": Limit(0.5),
    "daemon_threads": Limit(0.5),
    "worker_threads": Limit(0.5),
    "disk_files": Limit(0.5),
    "disk_bytes": Limit(64 << 10),
}


def sample(daemon: int, state_dir: Path) -> dict[str, float]:
    """Reads all quantities of `LIMITS`.

    Anonymous memory is what a process holds itself; its share of what it holds with others (PSS)
    changes whenever another Python starts or ends.

    Args:
      daemon: process id.
      state_dir: of the agent.
    """
    (worker,) = children(daemon)
    files = [path.stat() for path in state_dir.rglob("*") if path.is_file()]
    return {
        "daemon_anonymous_bytes": _memory(daemon, "smaps_rollup", "Anonymous:"),
        "daemon_rss_bytes": _memory(daemon, "status", "VmRSS:"),
        "worker_anonymous_bytes": _memory(worker, "smaps_rollup", "Anonymous:"),
        "daemon_descriptors": _count(daemon, "fd"),
        "worker_descriptors": _count(worker, "fd"),
        "daemon_threads": _count(daemon, "task"),
        "worker_threads": _count(worker, "task"),
        "disk_files": len(files),
        "disk_bytes": sum(found.st_blocks * 512 for found in files),
    }


def children(pid: int) -> list[int]:
    """Process ids of the children of all threads of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += map(int, (task / "children").read_text().split())
    return found


def _memory(pid: int, file: str, field: str) -> float:
    text = Path(f"/proc/{pid}/{file}").read_text()
    return 1024 * int(text.split(f"\n{field}")[1].split()[0])


def _count(pid: int, what: str) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/{what}").iterdir())
