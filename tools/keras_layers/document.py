"""Exports every case of Keras' own layer tests, and writes docs/layers.md: what trains, what not.

usage: python tools/keras_layers/document.py [--again | --refused] [--document] [CLASS...]

Each case is tried in a child process, many in one, so that TensorFlow is imported few times; one
that dies costs its case and no other. What was tried stands in runs/keras-layers.jsonl, and a
run that was interrupted is resumed from there.

--again      begin anew, or with CLASS try the cases of these classes anew
--refused    try anew what was not exported
--document   try nothing, and write the document from what was tried
CLASS        try the cases of these classes alone
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfplus.system.child_process import how_it_ended

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "runs" / "keras-layers.jsonl"
DOCUMENT = ROOT / "docs" / "layers.md"
TRIAL = Path(__file__).with_name("trial.py")
# Of one process: graphs that were made stay in memory.
MOST_CASES = 100
_MORE = 10

HEAD = """# Keras' layers

Written by `scripts/keras-layers`; do not edit.

Keras' wheel ships the tests of its layers. Each case in them is one way to make a layer: here it
stands between two dense layers and is exported, which compares the training step with TensorFlow's
and writes no file where they differ. *Exported* cases agree; *refused* ones ended in the message on
the right. Inputs longer than 4096 are cut. Cases of which Keras itself makes no model are in no
column.

"""


@dataclass(frozen=True)
class Outcome:
    """What became of a case; see `trial.tried` for the results."""

    case: str
    layer: str
    public: bool
    result: str
    reason: str


def read(results: Path) -> list[Outcome]:
    """The outcomes of a file of results, in order; a case that began and has none is left out."""
    public: dict[str, bool] = {}
    found: dict[str, Outcome] = {}
    for text in results.read_text().splitlines():
        line = json.loads(text)
        if "begun" in line:
            public[line["begun"]] = line["public"]
        elif "case" in line:
            name = line["case"]
            known = public[name]
            found[name] = Outcome(name, line["layer"], known, line["result"], line["reason"])
    return list(found.values())


def try_all(results: Path, classes: list[str]) -> None:
    """Tries all cases that have no result yet, in as many processes as it takes.

    Raises:
      RuntimeError: a process died of something else than a case.
    """
    results.parent.mkdir(exist_ok=True)
    results.touch()
    while True:
        command = [sys.executable, str(TRIAL), str(results), str(MOST_CASES), *classes]
        log = results.with_suffix(".log")
        with log.open("a") as file:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False
            ).returncode
        if code == 0:
            return
        if code != _MORE:
            _blame(results, code, log)
        sys.stdout.write(f"{len(read(results))} cases\n")
        sys.stdout.flush()


def _blame(results: Path, code: int, log: Path) -> None:
    lines = results.read_text().splitlines()
    last = json.loads(lines[-1]) if lines else {}
    if "begun" not in last:
        raise RuntimeError(f"the trial {how_it_ended(code)} between two cases: see {log}")
    ended = "took too long" if code == 1 else f"the process {how_it_ended(code)}"
    line = {"case": last["begun"], "layer": last["layer"], "result": "error", "reason": ended}
    with results.open("a") as file:
        file.write(json.dumps(line) + "\n")


def forget(results: Path, classes: list[str], *, exported: bool) -> None:
    """Removes what is known of some classes, or of all.

    Args:
      results: the file.
      classes: names; empty for all.
      exported: whether also the cases that were exported.
    """
    if not results.exists():
        return
    lines = [json.loads(text) for text in results.read_text().splitlines()]
    kept_cases = {
        line["case"]
        for line in lines
        if "case" in line
        and ((classes and line["layer"] not in classes) or (not exported and _done(line)))
    }
    kept = [line for line in lines if line.get("case", line.get("begun")) in kept_cases]
    results.write_text("".join(json.dumps(line) + "\n" for line in kept))


def _done(line: dict[str, Any]) -> bool:
    return line["result"] in ("exported", "none")


def document(outcomes: list[Outcome]) -> str:
    """The text of docs/layers.md."""
    counts = Counter(o.result for o in outcomes if o.public)
    classes = sorted({o.layer for o in outcomes if o.public})
    rows = [_row(name, [o for o in outcomes if o.layer == name]) for name in classes]
    others = Counter(o.result for o in outcomes if not o.public)
    versions = ", ".join(
        f"{name} {importlib.metadata.version(distribution)}"
        for name, distribution in (("Keras", "keras"), ("TensorFlow", "tensorflow"))
    )
    summary = (
        f"{len(classes)} layers, {sum(counts.values())} cases: {counts['exported']} exported, "
        f"{counts['refused']} refused, {counts['error']} ended otherwise, {counts['none']} are no "
        f"model. Of classes that the tests themselves define: {others['exported']} exported, "
        f"{others['refused']} refused, {others['error']} ended otherwise. With {versions}.\n\n"
    )
    head = "| Layer | Cases | Exported | Refused | Why |\n|---|--:|--:|--:|---|\n"
    return HEAD + summary + head + "".join(rows)


def _row(name: str, outcomes: list[Outcome]) -> str:
    counts = Counter(o.result for o in outcomes)
    refused = counts["refused"] + counts["error"]
    tried = counts["exported"] + refused
    reasons = dict.fromkeys(
        ("**error**: " if o.result == "error" else "") + _short(o.reason)
        for o in outcomes
        if o.result in ("refused", "error")
    )
    why = "<br>".join(reasons) or ("no trainable model" if not tried else "")
    return f"| {name} | {tried} | {counts['exported']} | {refused} | {why} |\n"


def _short(reason: str) -> str:
    """A message in one line, without what differs from case to case."""
    text = " ".join(reason.replace("|", "\\|").replace("<", "&lt;").split())
    text = re.sub(r"^layer '[^']*'( \(\w+\))?[:,]? ?", "", text)
    text = re.sub(r"\[(\d+, )*\d+\]", "[…]", text)
    return text if len(text) <= 300 else text[:299] + "…"


def main(arguments: list[str]) -> int:
    """Reads the arguments, tries, writes the document."""
    options = {a for a in arguments if a.startswith("-")}
    classes = [a for a in arguments if not a.startswith("-")]
    if options - {"--again", "--refused", "--document"}:
        sys.stderr.write(__doc__ or "")
        return 2
    if options & {"--again", "--refused"}:
        forget(RESULTS, classes, exported="--again" in options)
    if "--document" not in options:
        try_all(RESULTS, classes)
    outcomes = read(RESULTS)
    DOCUMENT.write_text(document(outcomes))
    ended = [o for o in outcomes if o.result == "error"]
    sys.stdout.writelines(f"{o.case} ({o.layer}): {o.reason}\n" for o in ended)
    return 1 if ended else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
