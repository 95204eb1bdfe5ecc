"""What an agent is called, and where one of that name keeps its state."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tfplus.errors import UsageError

if TYPE_CHECKING:
    from tfplus.wire.tls import TlsFiles

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def own_name(asked: str | None, tls: TlsFiles | None) -> str:
    """The agent's name: its certificate's, or the one asked for, or else the host's.

    Raises:
      UsageError: the name has a wrong form, or is not the certificate's.
    """
    from tfplus.wire.identity import certified_name

    name = certified_name(tls) if tls else asked
    if name is None:
        return _host_name()
    if asked not in (None, name):
        raise UsageError(
            f"--name {asked}: the certificate {tls.cert if tls else ''} is of '{name}', and "
            "peers go by the certificate: leave --name out, or issue one with "
            f"`tfplus certs issue {asked}`"
        )
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--name '{name}': expected 1 to 63 letters, digits, '.', '_' or '-', "
            "a letter or digit first"
        )
    return name


def default_state_dir(name: str | None = None) -> Path:
    """Where an agent of that name, or of this host's, keeps its state."""
    base = os.environ.get("XDG_STATE_HOME")
    folder = Path(base) if base else Path.home() / ".local" / "state"
    return folder / "tfplus" / (name or _host_name())


def _host_name() -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", platform.node()).strip("-._")[:63] or "device"
