"""What the benchmarks share: the option `--json`, and how a result is put together."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfplus.errors import TfplusError
from tfplus.measure import comparison, environment, result_file
from tfplus.measure.result import Repetition, Result, Scalar

STANDARD_OUTPUT = Path("-")


def add_json(parser: argparse.ArgumentParser, *, also_printed: bool = False) -> None:
    """Adds `--json FILE`.

    Args:
      parser: of the benchmark.
      also_printed: `--json` without a file prints the result instead of tables.
    """
    if also_printed:
        parser.add_argument(
            "--json",
            nargs="?",
            const=STANDARD_OUTPUT,
            type=_json_file,
            metavar="FILE.json",
            help="write the result there; without a file print it",
        )
    else:
        parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result there")


def _json_file(text: str) -> Path:
    # A model's file behind --json would be written over.
    if Path(text).suffix != ".json":
        raise argparse.ArgumentTypeError(f"{text}: expected a file that ends in .json")
    return Path(text)


def result(
    script: str, settings: Mapping[str, Scalar], repetitions: Iterable[Repetition]
) -> Result:
    """What a benchmark measured just now, on this machine."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    name = f"benchmarks/{Path(script).name}"
    return Result(name, now, environment.read(), dict(settings), tuple(repetitions))


def merged(results: Sequence[Result]) -> Result:
    """One result of several.

    Raises:
      SystemExit: there is none, or they are of unlike machines or of several commits.
    """
    if not results:
        raise SystemExit("nothing was measured: there is no result to write")
    first = results[0]
    for other in results[1:]:
        unlike = comparison.differences(first.environment, other.environment)
        if first.environment.tfplus_commit != other.environment.tfplus_commit:
            unlike.append("tfplus_commit")
        if unlike:
            raise SystemExit(
                f"--json holds the results of one environment, and these differ in "
                f"{'; '.join(unlike)}: the file of --results has them all"
            )
    repetitions = tuple(repetition for r in results for repetition in r.repetitions)
    return dataclasses.replace(first, repetitions=repetitions)


def output(measured: Result, target: Path | None) -> None:
    """Writes or prints a result, as `--json` says."""
    if target == STANDARD_OUTPUT:
        print(json.dumps(result_file.to_json(measured), indent=1))
    elif target is not None:
        result_file.write(target, measured)


def read_lines(path: Path | None) -> list[Result]:
    """The results of a file that grows, which may not be there yet.

    Raises:
      SystemExit: it holds something else.
    """
    if path is None or not path.exists():
        return []
    try:
        return result_file.read_lines(path)
    except TfplusError as error:
        raise SystemExit(f"error: {error}") from None


def sha256(content: bytes) -> str:
    """Of a model's file."""
    return hashlib.sha256(content).hexdigest()
