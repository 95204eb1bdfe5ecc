"""Parts of a document that a benchmark writes, between two markers."""

from __future__ import annotations


def insert(document: str, text: str, benchmark: str) -> str:
    """The document with a text between a benchmark's markers.

    Raises:
      SystemExit: it has none.
    """
    first = f"<!-- {benchmark}: written by benchmarks/{benchmark}.py -->"
    last = f"<!-- {benchmark}: end -->"
    before, start, rest = document.partition(first)
    _, end, after = rest.partition(last)
    if not start or not end:
        raise SystemExit(f"the document lacks the lines {first} and {last}")
    return f"{before}{first}\n{text}\n{last}{after}"
