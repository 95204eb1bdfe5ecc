"""A process that is killed at any moment has lost nothing that it acknowledged."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from tfplus.data.store.sample_store import SampleStore

LOOPS = 20
# Samples large enough that a commit is more than one write.
CHILD = """
import sys
from pathlib import Path
import numpy as np
from tfplus.data.store.sample_store import SampleStore

def names(store):
    return {s.name: s.id for s in store.listed()}

path, start, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = SampleStore(path, create=True)
for i in range(start, count):
    name = f"s{i - i % 4}"
    if i % 4 == 0:
        store.add(np.full(6000, i % 251, np.uint8), 0, name)
    elif i % 4 == 1:
        store.add(np.full(6000, i % 251, np.uint8), 1, f"s{i}")
    elif i % 4 == 2:
        store.correct(names(store)[f"s{i - 1}"], i)
    elif i % 12 == 3:
        store.forget([names(store).get(name, 0)])
    print(i, flush=True)
"""


def after(calls: int) -> dict[str, tuple[int, int]]:
    """Name → value and label, after so many of the child's calls."""
    held: dict[str, tuple[int, int]] = {}
    for i in range(calls):
        name = f"s{i - i % 4}"
        if i % 4 in (0, 1):
            held[f"s{i}"] = (i % 251, i % 4)
        elif i % 4 == 2:
            held[f"s{i - 1}"] = (held[f"s{i - 1}"][0], i)
        elif i % 12 == 3:
            del held[name]
    return held


LIMIT = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"


def held_in(path: Path) -> dict[str, tuple[int, int]]:
    with SampleStore(path, create=True) as store:
        listed = store.listed()
        values = store.read([s.id for s in listed])
        assert len({s.name for s in listed}) == len(listed)
        assert all(np.unique(x).size == 1 for x in values.values())
        return {s.name: (int(values[s.id][0]), s.label) for s in listed}


def test_every_acknowledged_call_survives_and_none_counts_twice(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path, done = tmp_path / "s.db", 0
    for _ in range(LOOPS):
        command = [sys.executable, "-c", CHILD, str(path), str(done), str(done + 400)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout
            for _ in range(rng.integers(13)):
                assert child.stdout.readline()
                done += 1
            child.send_signal(signal.SIGKILL)
            done += len(child.communicate()[0].split())
            assert child.returncode == -signal.SIGKILL
        # The call that was under way may have happened; it is made again, and changes nothing then.
        assert held_in(path) in (after(done), after(done + 1))
    assert done > LOOPS
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_takes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """A process that may write no more is refused in the same place as by a disk that is full."""
    path = tmp_path / "s.db"

    # In the child itself: to run code between fork and exec is unsafe beside other threads.
    limited = LIMIT + CHILD
    done = subprocess.run(
        [sys.executable, "-c", limited, str(path), "0", "1000"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "tfplus.errors.StoreError: " in done.stderr.splitlines()[-1]
    acknowledged = len(done.stdout.split())
    assert acknowledged > 10
    assert held_in(path) in (after(acknowledged), after(acknowledged + 1))
