"""`--tls-dir` and `--insecure`, which every command takes that talks to agents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfplus.errors import UsageError

if TYPE_CHECKING:
    from tfplus.wire.tls import TlsFiles

TlsDir = Annotated[
    Path | None,
    typer.Option(help="Own certificates: ca.pem, cert.pem, key.pem (see `tfplus certs`)."),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Plaintext, also beyond loopback.")]


def tls_files(tls_dir: Path | None, *, insecure: bool) -> TlsFiles | None:
    """The files in a directory; None for plaintext.

    Raises:
      UsageError: both options are given, or the directory does not hold what it should.
    """
    if tls_dir is not None and insecure:
        raise UsageError("--tls-dir and --insecure: give one of them")
    if tls_dir is None:
        return None
    from tfplus.wire.tls import TlsFiles

    return TlsFiles.load(tls_dir)
