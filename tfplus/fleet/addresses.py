"""Which agents a command is about: named on the command line, or in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfplus.errors import UsageError


def gather(named: Sequence[str], file: Path | None, *, discover: bool = False) -> list[str]:
    """Puts the addresses together, those of the command line first.

    Args:
      named: `HOST:PORT` of each.
      file: with one a line; what follows a # is a comment.
      discover: also those that announce themselves by mDNS.

    Raises:
      MissingExtraError: the packages for mDNS are not installed.
      UsageError: there is none, or the file is no text.
    """
    addresses = list(named)
    if file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            raise UsageError(f"{file}: expected a text file with one HOST:PORT a line") from None
        addresses += [a for line in lines if (a := line.partition("#")[0].strip())]
    if discover:
        from tfplus.fleet import discovery

        found = [agent.address for agent in discovery.find()]
        addresses += [address for address in found if address not in addresses]
        if not addresses:
            raise UsageError(
                "no agent answered by mDNS: are they started with --announce, and in this network?"
            )
    if not addresses:
        raise UsageError("no agent given: expected HOST:PORT, or --agents-file FILE")
    return addresses
