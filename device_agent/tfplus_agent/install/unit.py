"""A systemd unit that runs an agent for weeks: confined, watched, and started again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfplus.errors import UsageError

MARK = "# Written by `tfplus agent install`; it replaces and removes this file."
STATE_BASE = Path("/var/lib")

_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$", "\n": "\\n", "\t": "\\t"})
_SIZE = re.compile(r"[1-9][0-9]*[KMGT]?|[1-9][0-9]?%")
_HOMES = (Path("/home"), Path("/root"))
_PRIVATE = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 (what PrivateTmp replaces)


@dataclass(frozen=True)
class Service:
    """A service to write a unit for.

    Attributes:
      command: that it runs; the program's path is absolute.
      state_dir: that it may write to, and nothing else; absolute.
      reads: files and directories that it reads; absolute.
      run_as: user of a service of the system; empty for one of the user's own manager.
      memory_max: such as `400M` or `50%`: above it the kernel ends a process; empty for no limit.
      watchdog_s: an agent that has not answered for so long, in seconds, is started again.

    Raises:
      UsageError: a field has a wrong form, or the service could not see one of its paths.
    """

    command: Sequence[str]
    state_dir: Path
    reads: Sequence[Path] = ()
    run_as: str = ""
    memory_max: str = ""
    watchdog_s: int = 60

    def __post_init__(self) -> None:
        if self.memory_max and not _SIZE.fullmatch(self.memory_max):
            raise UsageError(f"--memory-max '{self.memory_max}': expected such as 400M, 2G or 50%")
        for path in (Path(self.command[0]), self.state_dir, *self.reads):
            if any(path.is_relative_to(private) for private in _PRIVATE):
                raise UsageError(
                    f"{path}: a service has a /tmp and /var/tmp of its own, and a restart of the "
                    "device empties them: choose another place"
                )

    def text(self) -> str:
        """The unit."""
        return "\n".join([MARK, *self._unit(), *self._service(), *self._installed()]) + "\n"

    def _unit(self) -> Iterator[str]:
        yield "[Unit]"
        yield "Description=tfplus agent: trains on this device's own data"
        if self.run_as:
            yield "Wants=network-online.target"
            # A Pi has no clock of its own; certificates are not valid in 1970.
            yield "After=network-online.target time-sync.target"
        yield "# However often it fails, it is started again."
        yield "StartLimitIntervalSec=0"

    def _service(self) -> Iterator[str]:
        yield ""
        yield "[Service]"
        yield "Type=notify"
        yield f"ExecStart={' '.join(map(_quoted, self.command))}"
        if self.run_as:
            yield f"User={self.run_as}"
        yield "Restart=on-failure"
        yield "RestartSec=10"
        yield "# Wrong options (2) and missing packages (6) do not mend by themselves."
        yield "RestartPreventExitStatus=2 6"
        yield f"WatchdogSec={self.watchdog_s}"
        yield "TimeoutStartSec=180"
        yield "TimeoutStopSec=60"
        yield "# The agent ends its own worker, which keeps what it learned."
        yield "KillMode=mixed"
        yield "# A worker that is killed for memory is the agent's to report and to replace."
        yield "OOMPolicy=continue"
        if self.memory_max:
            yield f"MemoryMax={self.memory_max}"
        yield ""
        yield from self._written()
        yield f"ProtectHome={'read-only' if self._homes() else 'yes'}"
        yield from _CONFINED
        # A user's own manager can confine only where the kernel gives it a namespace of users.
        yield from _CONFINED_BY_ROOT if self.run_as else ["PrivateUsers=yes"]

    def _written(self) -> Iterator[str]:
        yield "ProtectSystem=strict"
        if self.run_as and self.state_dir.is_relative_to(STATE_BASE):
            yield f"StateDirectory={_quoted(str(self.state_dir.relative_to(STATE_BASE)))}"
            yield "StateDirectoryMode=0700"
        else:
            yield f"ReadWritePaths={_quoted(str(self.state_dir))}"

    def _homes(self) -> bool:
        seen = (Path(self.command[0]), self.state_dir, *self.reads)
        homes = [*_HOMES, *([] if self.run_as else [Path.home()])]
        return any(path.is_relative_to(home) for path in seen for home in homes)

    def _installed(self) -> Iterator[str]:
        yield ""
        yield "[Install]"
        yield f"WantedBy={'multi-user.target' if self.run_as else 'default.target'}"


# No MemoryDenyWriteExecute: drivers of a GPU compile. No PrivateDevices: a Pi tells its heat by
# /dev/vcio, a current sensor sits at /dev/i2c-1.
_CONFINED = (
    "NoNewPrivileges=yes",
    "PrivateTmp=yes",
    "ProtectControlGroups=yes",
    "ProtectKernelTunables=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged",
    "SystemCallErrorNumber=EPERM",
    "UMask=0077",
)
_CONFINED_BY_ROOT = (
    "CapabilityBoundingSet=",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectProc=invisible",
    "RemoveIPC=yes",
    "DevicePolicy=closed",
    "DeviceAllow=char-drm rw",
    "DeviceAllow=char-nvidia* rw",
    "DeviceAllow=char-i2c rw",
    "DeviceAllow=/dev/vcio rw",
)


def _quoted(argument: str) -> str:
    if _PLAIN.fullmatch(argument):
        return argument
    return f'"{argument.translate(_ESCAPES)}"'
