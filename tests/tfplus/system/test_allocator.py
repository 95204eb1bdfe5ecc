"""What the kernel counts when messages come and go, with and without a word to the allocator."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tfplus.system import allocator

# Blocks of 1 MiB, two at a time, as a stream's messages are; then what is still resident.
_STREAM = """
import resource, sys
from tfplus.system import allocator
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
if sys.argv[1] == "reuse":
    assert allocator.prefer_reuse(16 << 20, 8 << 20)
warm = [b"a" * (1 << 20) for _ in range(2)]
del warm
before = faults()
for _ in range(200):
    blocks = [b"a" * (1 << 20) for _ in range(2)]
    del blocks
streamed = faults() - before
held = [b"a" * (1 << 20) for _ in range(12)]
del held
full = resident()
allocator.give_back()
print(streamed, full - resident())
"""


def streamed(how: str) -> tuple[int, int]:
    """Page faults of a stream of 400 MiB, and the bytes that were given back behind it."""
    command = [sys.executable, "-c", _STREAM, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    faults, returned = done.stdout.split()
    return int(faults), int(returned)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_blocks_are_used_again_and_given_back_when_they_are_done_with() -> None:
    faults, returned = streamed("reuse")
    # A page has 4 KiB, or more: of memory that is new each time there would be a hundred thousand.
    assert faults < 2000
    assert returned > 8 << 20


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr("os.confstr", unknown)
    assert not allocator.prefer_reuse(1 << 20, 1 << 20)
    assert not allocator.give_back()
