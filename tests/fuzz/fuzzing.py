"""Lets atheris look for bytes that a group of readers does not survive.

usage: scripts/fuzz [--minutes 10] [--corpus FOLDER] GROUP

GROUP is wire, artifacts, samples or documents. The first byte of an input chooses the reader. Seeds
are made by code; what is found to reach further stays in the corpus folder, where one is given.
What ends a run (an error that is not documented, more than 20 s, more than 1 GiB) is written to a
file whose name it prints; `--again FILE` reads it once more.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

_RSS_LIMIT_MB = 1024
_MAX_INPUT_BYTES = 1 << 18
_GROUPS = ("artifacts", "documents", "samples", "wire")


def main() -> None:
    """Fuzzes what the arguments say; libFuzzer ends the process with its exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("group", choices=_GROUPS)
    parser.add_argument("--minutes", type=float, default=10, help="how long")
    parser.add_argument("--corpus", type=Path, help="a folder that keeps what it finds")
    parser.add_argument("--again", type=Path, help="an input to read once more")
    given = parser.parse_args()
    try:
        import atheris
    except ImportError:
        sys.exit("error: atheris is not installed: pip install 'tfplus[fuzz]' (Linux, x86-64)")
    with atheris.instrument_imports(include=["tfplus", "tfplus_agent"]):
        from readers.registry import GROUPS
    targets = GROUPS[given.group]
    logging.disable()
    warnings.simplefilter("ignore")
    here = Path(tempfile.mkdtemp(prefix="tfplus-fuzz-", dir=_fast_disk()))
    folder = here / "run"

    def read(content: bytes) -> None:
        if not content:
            return
        from readers.target import outcome

        target = targets[content[0] % len(targets)]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        outcome(target, content[1:], folder)

    if given.again is not None:
        read(given.again.read_bytes())
        shutil.rmtree(here)
        return
    corpus = given.corpus or here / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    _write_seeds(targets, corpus, folder)
    options = {
        "max_total_time": round(60 * given.minutes),
        "max_len": _MAX_INPUT_BYTES,
        "timeout": 20,
        "rss_limit_mb": _RSS_LIMIT_MB,
        "print_final_stats": 1,
        "artifact_prefix": f"{Path.cwd()}/fuzz-{given.group}-",
    }
    atheris.Setup([sys.argv[0], *(f"-{k}={v}" for k, v in options.items()), str(corpus)], read)
    atheris.Fuzz()


def _write_seeds(targets: Any, corpus: Path, folder: Path) -> None:
    for number, target in enumerate(targets):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for seed in target.seeds(folder):
            content = bytes([number]) + seed
            if len(content) <= _MAX_INPUT_BYTES:
                (corpus / hashlib.sha256(content).hexdigest()[:20]).write_bytes(content)


def _fast_disk() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 (a folder of its own in it)


if __name__ == "__main__":
    main()
