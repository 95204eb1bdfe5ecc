"""Programs that run beside a training, one a process, each counting what it gets done.

They stand for the tests of a benchmark suite: arithmetic, encryption, compression, memory. One
unit of work takes about a millisecond, so that what is done in a second is well counted.

usage: python -m tfplus_agent.benchmark.co_runners NAME

It works from a line `go` on its standard input to the line `stop`, answers with `{"units": n,
"seconds": s, ...}`, and ends with its input.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import select
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfplus_agent.benchmark.response import Response

RESPONSE = "response"
_SEED = 0


def integers() -> Callable[[], object]:
    """Sums, products and shifts of whole numbers."""
    values = np.random.default_rng(_SEED).integers(1, 1 << 30, 1 << 16, dtype=np.int64)
    return lambda: int(((values * 3 + 7) ^ (values >> 3)).sum())


def primes() -> Callable[[], object]:
    """The sieve of Eratosthenes up to 2¹⁸."""
    limit = 1 << 18

    def sieve() -> int:
        marks = np.ones(limit, np.bool_)
        marks[:2] = False
        for n in range(2, int(limit**0.5) + 1):
            if marks[n]:
                marks[n * n :: n] = False
        return int(marks.sum())

    return sieve


def aes() -> Callable[[], object]:
    """AES-256 in counter mode over 1 MiB; SHA-256 where no AES is installed."""
    block = np.random.default_rng(_SEED).bytes(1 << 20)
    try:
        ciphers: Any = importlib.import_module("cryptography.hazmat.primitives.ciphers")
    except ImportError:
        return lambda: hashlib.sha256(block).digest()
    cipher = ciphers.Cipher(ciphers.algorithms.AES(bytes(32)), ciphers.modes.CTR(bytes(16)))
    return lambda: cipher.encryptor().update(block)


def compression() -> Callable[[], object]:
    """Deflate over 64 KiB that compress to about half."""
    block = (np.random.default_rng(_SEED).integers(0, 16, 1 << 16).astype(np.uint8)).tobytes()
    return lambda: zlib.compress(block, 6)


def bandwidth() -> Callable[[], object]:
    """Copies of 32 MiB, more than caches hold."""
    source = np.zeros(1 << 22, np.int64)
    target = np.empty_like(source)
    return lambda: np.copyto(target, source)


def latency() -> Callable[[], object]:
    """Reads at random places of 64 MiB."""
    draw = np.random.default_rng(_SEED)
    table = np.arange(1 << 23, dtype=np.int64)
    places = draw.integers(0, len(table), 1 << 15)
    return lambda: int(table[places].sum())


BUILT_IN: Mapping[str, Callable[[], Callable[[], object]]] = {
    "integers": integers,
    "primes": primes,
    "aes": aes,
    "compression": compression,
    "bandwidth": bandwidth,
    "latency": latency,
}


def main(name: str) -> int:
    """Works whenever it is told to."""
    make = BUILT_IN.get(name)
    if make is None and name != RESPONSE:
        sys.stderr.write(f"co-runner '{name}': expected one of {', '.join(NAMES)}\n")
        return 2
    work = make() if make else None
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while _line() == "go":
        told = _respond() if work is None else _count(work)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
    return 0


def _count(work: Callable[[], object]) -> Mapping[str, float]:
    begin, units = time.perf_counter(), 0
    while not _told():
        work()
        units += 1
    _line()
    return {"units": units, "seconds": time.perf_counter() - begin}


def _respond() -> Mapping[str, Any]:
    response = Response()
    response.run(time.perf_counter, time.sleep, _told)
    _line()
    return response.told()


def _told() -> bool:
    return bool(select.select([0], [], [], 0)[0])


def _line() -> str:
    # Unbuffered, so that `select` sees what is left.
    found = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        found += byte
    return found.decode(errors="replace")


NAMES = (*BUILT_IN, RESPONSE)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
