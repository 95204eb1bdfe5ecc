"""Checks single keys of a campaign: ranges, devices, lowerings, co-runners, gates."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from tfplus.benchmark.repetition import Gates
from tfplus.campaign.planning.plan import LOCAL
from tfplus.errors import UsageError
from tfplus.system import checked_json
from tfplus.wire import tls as wire_tls

MOST_DEVICES = 1_000
_MOST_SECONDS = 86_400.0
# The exporter's own choice of lowerings.
_OWN = "own"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CO_RUNNER = re.compile(r"[a-z0-9-]{1,32}(?::[a-z0-9-]{1,32})?")
_GATE_KEYS = ("min_battery_percent", "max_celsius", "not_throttled", "max_load", "timeout_s")


class Fields(checked_json.Fields):
    """The keys of a table of a campaign; every error names the key."""

    error = UsageError

    def check_names(self, known: Sequence[str]) -> None:
        """Refuses a key that is not known, and names the nearest."""
        for name in self._raw:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                said = f"did you mean {near[0]}?" if near else f"expected {', '.join(known)}"
                raise self._error(f"{self._path}{name}", f"unknown key; {said}")

    def some(self, name: str, minimum: int, maximum: int, default: Sequence[int]) -> list[int]:
        """A number or a list of different numbers of a range."""
        if name not in self:
            return list(default)
        single = isinstance(self._raw[name], int)
        values = (self.integer(name),) if single else self.integers(name)
        if not values or len(set(values)) < len(values):
            raise self.wrong(name, "at least one number, each once", list(values))
        for value in values:
            if not minimum <= value <= maximum:
                raise self.wrong(name, f"numbers from {minimum} to {maximum}", value)
        return list(values)

    def whole(self, name: str, default: int, maximum: int, minimum: int = 1) -> int:
        """A whole number of a range."""
        return self.integer(name, minimum, maximum) if name in self else default

    def positive(self, name: str, default: float) -> float:
        """A number above 0."""
        value = self.number(name) if name in self else default
        if value <= 0:
            raise self.wrong(name, "a number above 0", value)
        return value

    def seconds(self, name: str, default: float) -> float:
        """A time of at most a day."""
        value = self.number(name) if name in self else default
        if not 0 <= value <= _MOST_SECONDS:
            raise self.wrong(name, f"0 to {_MOST_SECONDS:g} seconds", value)
        return value

    def some_of(
        self, name: str, known: Sequence[str], default: Sequence[str], *, least: int = 1
    ) -> tuple[str, ...]:
        """Different texts of those that are known."""
        values = tuple(self.texts(name)) if name in self else tuple(default)
        if len(values) < least or set(values) - set(known) or len(set(values)) < len(values):
            said = f"of {', '.join(known)}" + (" at least one," if least else "") + " each once"
            raise self.wrong(name, said, list(values))
        return values


def devices(fields: Fields) -> dict[str, str]:
    """Name → address; the name of one that has none is its address.

    Raises:
      UsageError: a value is not what it should be.
    """
    found: dict[str, str] = {}
    for text in fields.texts("devices") if "devices" in fields else (LOCAL,):
        name, equals, address = text.partition("=")
        address = address if equals else name
        if address != LOCAL:
            try:
                wire_tls.split_address(address)
            except UsageError as error:
                raise fields.wrong(
                    "devices", f"'{LOCAL}', 'HOST:PORT' or 'NAME=HOST:PORT' ({error})", text
                ) from None
        if equals and not _NAME.fullmatch(name):
            raise fields.wrong("devices", "a name of letters, digits, '.', '_' and '-'", name)
        if name in found:
            raise fields.wrong("devices", "each device once", name)
        found[name] = address
    if not 1 <= len(found) <= MOST_DEVICES:
        raise fields.wrong("devices", f"1 to {MOST_DEVICES:,} devices", len(found))
    return found


def places(
    fields: Fields, devices: Sequence[str], threads: Sequence[int], most: int
) -> list[tuple[int, str]]:
    """Pairs of a number of threads and a device: `threads`, or a device's own `device_threads`.

    Raises:
      UsageError: a value is not what it should be.
    """
    own: dict[str, list[int]] = {}
    if "device_threads" in fields:
        told = fields.object("device_threads")
        told.check_names(devices)
        own = {name: told.some(name, 1, most, ()) for name in devices if name in told}
    numbers = dict.fromkeys((*threads, *(t for of in own.values() for t in of)))
    return [(t, name) for t in numbers for name in devices if t in own.get(name, threads)]


def co_runners(fields: Fields) -> tuple[str, ...]:
    """Names of programs that run beside; whether a device has one it says itself.

    Raises:
      UsageError: a value is not what it should be.
    """
    found = fields.texts("co_runners") if "co_runners" in fields else ()
    for name in found:
        # The device knows which it has.
        if not _CO_RUNNER.fullmatch(name):
            raise fields.wrong("co_runners", "names such as aes, or stress-ng:cpu", name)
    if len(set(found)) < len(found):
        raise fields.wrong("co_runners", "each once", list(found))
    return found


def lowerings(fields: Fields, folder: Path) -> tuple[str, ...]:
    """Paths of tuning files; empty for the exporter's own choice.

    Raises:
      UsageError: a value is not what it should be.
    """
    found: list[str] = []
    for name in fields.texts("lowerings") if "lowerings" in fields else (_OWN,):
        path = (folder / name).resolve()
        if name != _OWN and not path.is_file():
            raise fields.wrong(
                "lowerings", f"'{_OWN}', or a file that `tfplus tune` wrote (no such file)", name
            )
        found.append("" if name == _OWN else str(path))
    if not found or len(set(found)) < len(found):
        raise fields.wrong("lowerings", "at least one, each once", found)
    return tuple(found)


def samples(fields: Fields, folder: Path, *, is_needed: bool) -> tuple[str, str]:
    """Paths of training and evaluation data for a learning pass on this machine; empty without.

    Args:
      fields: of the plan.
      folder: what paths are relative to.
      is_needed: whether there is such a pass.

    Raises:
      UsageError: they are missing where they are needed, or are not there.
    """
    found: list[str] = []
    for name in ("data", "eval_data"):
        path = (folder / fields.text(name)).resolve() if name in fields else None
        if path is None and is_needed:
            raise fields.wrong(name, "samples for the learning pass on this machine", None)
        if path is not None and not path.exists():
            raise fields.wrong(name, "a data set (no such file or folder)", fields.text(name))
        found.append("" if path is None else str(path))
    return found[0], found[1]


def gates(fields: Fields) -> Gates:
    """What a repetition waits for; nothing by default.

    Raises:
      UsageError: a value is not what it should be.
    """
    if "gates" not in fields:
        return Gates()
    told = fields.object("gates")
    told.check_names(_GATE_KEYS)

    def above_zero(name: str) -> float | None:
        return told.positive(name, 1.0) if name in told else None

    return Gates(
        above_zero("min_battery_percent"),
        above_zero("max_celsius"),
        told.boolean("not_throttled") if "not_throttled" in told else False,
        above_zero("max_load"),
        told.seconds("timeout_s", Gates.timeout_s),
    )
