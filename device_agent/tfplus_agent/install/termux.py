"""A script that Termux:Boot runs: an agent in a Debian under proot, on a phone that stays awake."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

MARK = "# Written by `tfplus agent install --termux`; it replaces and removes this file."
# Termux is one app with one place: Android gives it no other.
HOME = Path("/data/data/com.termux/files/home")
BOOT = ".termux/boot"

_SCRIPT = """\
#!/data/data/com.termux/files/usr/bin/sh
{mark}
log=$HOME/{name}.log
# Android may end Termux and a job may start this script again: one at a time.
exec 9>"$HOME/.{name}.lock"
flock -n 9 || exit 0
# Without a wake lock Android stops the processor when the screen goes dark.
termux-wake-lock
while :; do
  # The log starts anew when it has grown to 1 MB.
  if [ -f "$log" ] && [ "$(wc -c <"$log")" -gt 1000000 ]; then : >"$log"; fi
  proot-distro login {distribution} -- {command} >>"$log" 2>&1 9>&-
  code=$?
  case $code in
    # It was ended (0, 130), or its options (2) or packages (6) are wrong: that does not mend.
    0 | 130 | 2 | 6) break ;;
  esac
  echo "the agent ended with $code; it starts again in 10 s" >>"$log"
  sleep 10
done
termux-wake-unlock
"""


def script(name: str, command: Sequence[str], distribution: str) -> str:
    """The script.

    Args:
      name: of its log and its lock.
      command: that runs in the distribution.
      distribution: as proot-distro calls it, such as `debian`.
    """
    return _SCRIPT.format(
        mark=MARK,
        name=name,
        distribution=shlex.quote(distribution),
        command=shlex.join(command),
    )
