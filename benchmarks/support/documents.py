"""Parts of a document that a benchmark writes, between two markers."""

from __future__ import annotations


def insert(document: str, text: str, benchmark: str, part: str = "") -> str:
    """The document with a text between a benchmark's markers.

    Args:
      document: as it is.
      text: the new one.
      benchmark: name of the script.
      part: which of its texts, where it has several.

    Raises:
      SystemExit: it has none.
    """
    name = f"{benchmark}, {part}" if part else benchmark
    first = f"<!-- {name}: written by benchmarks/{benchmark}.py -->"
    last = f"<!-- {name}: end -->"
    before, start, rest = document.partition(first)
    _, end, after = rest.partition(last)
    if not start or not end:
        raise SystemExit(f"the document lacks the lines {first} and {last}")
    return f"{before}{first}\n{text}\n{last}{after}"
