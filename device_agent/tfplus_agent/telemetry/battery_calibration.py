"""What a battery's current and power are in: found by how its charge changes meanwhile.

Drivers differ in unit and sign of `current_now` and `power_now`; their counters of charge and
energy are what the percentage on the screen is made of, and are right more often. Over a window in
which the battery does one thing, the integral of the raw numbers is held against what the counter
lost: the factor between the two says unit and sign. Where there is no counter, the state that the
driver tells gives the sign, and the size of a running device's draw the unit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tfplus.errors import DataError
from tfplus_agent.telemetry.sensor import number_of

# A device that runs draws more than 20 mA, and less than 20 A.
LEAST_AMPERES, MOST_AMPERES = 0.02, 20.0
# A counter that moved so often tells a factor of a thousand for sure, and far less than that.
ENOUGH_CHANGES = 3
ENOUGH_SECONDS = 20.0
CHARGES = ("charge_counter", "charge_now")
ENERGY = "energy_now"
COUNTERS = (*CHARGES, ENERGY)
UNITS = (1e-6, 1e-3, 1.0)
_NAMES = {1e-6: "micro", 1e-3: "milli", 1.0: ""}
_NOMINAL_VOLTS = 3.8
_WITHIN = 3.0


@dataclass(frozen=True)
class Sample:
    """The battery's files at one moment.

    Attributes:
      at_s: seconds on any clock.
      files: name → content.
    """

    at_s: float
    files: Mapping[str, str]

    def number(self, file: str) -> float | None:
        """The number in a file; None where there is none."""
        return number_of(self.files.get(file, ""))


@dataclass(frozen=True)
class Calibration:
    """What one battery's numbers mean.

    Attributes:
      source: the battery's directory.
      amperes_per_unit: of `current_now`, positive where a positive number is given by the battery;
        None where it is not known.
      watts_per_unit: of `power_now`, likewise.
      how: how that was found.
    """

    source: str
    amperes_per_unit: float | None
    watts_per_unit: float | None
    how: str

    def described(self) -> str:
        """For people."""
        parts = [
            f"{file} is in {_NAMES.get(abs(factor), f'{abs(factor):g} ')}{unit}, positive while "
            f"the battery {'gives' if factor > 0 else 'takes'}"
            for file, unit, factor in (
                ("current_now", "amperes", self.amperes_per_unit),
                ("power_now", "watts", self.watts_per_unit),
            )
            if factor is not None
        ]
        return f"{self.source}: {'; '.join(parts)} ({self.how})"


def enough(samples: Sequence[Sample]) -> bool:
    """Whether more samples would say no more."""
    if not samples or samples[-1].at_s - samples[0].at_s < ENOUGH_SECONDS:
        return False
    counter = _counter(samples)
    return counter is None or _changes(samples, counter) >= ENOUGH_CHANGES


def judged(source: str, samples: Sequence[Sample]) -> Calibration:
    """What the numbers of a battery mean.

    Args:
      source: the battery's directory.
      samples: in order, over a window in which nobody plugs it in or out.

    Raises:
      DataError: that cannot be said; the message says why, and what to do.
    """
    status = _one_status(source, samples)
    for file in ("current_now", "power_now"):
        signs = {math.copysign(1, v) for s in samples if (v := s.number(file))}
        if len(signs) > 1:
            raise DataError(
                f"{source}/{file} changed its sign: calibrate while the battery does one thing, "
                "with the charger away"
            )
    if not _has(samples, "current_now") and not _has(samples, "power_now"):
        raise DataError(f"{source}: neither current_now nor power_now tells anything")
    counter = _counter(samples)
    if counter is None:
        return _by_state(source, samples, status)
    return _by_counter(source, samples, counter)


def _one_status(source: str, samples: Sequence[Sample]) -> str:
    if len(samples) < 2 or samples[-1].at_s - samples[0].at_s <= 0:
        raise DataError(f"{source}: expected readings over some seconds, got {len(samples)}")
    states = list(dict.fromkeys(s.files.get("status", "") for s in samples))
    if len(states) > 1:
        raise DataError(
            f"{source}: the state went from '{states[0]}' to '{states[1]}': begin again, and plug "
            "nothing in or out meanwhile"
        )
    return states[0]


def _by_counter(source: str, samples: Sequence[Sample], counter: str) -> Calibration:
    seconds = samples[-1].at_s - samples[0].at_s
    changes = _changes(samples, counter)
    if changes < ENOUGH_CHANGES:
        raise DataError(
            f"{source}/{counter} moved {changes} times in {seconds:.0f} s, expected at least "
            f"{ENOUGH_CHANGES}: put the device to work with the charger away, and calibrate for "
            "longer (--calibrate-seconds)"
        )
    given = (samples[0].number(counter) or 0.0) - (samples[-1].number(counter) or 0.0)
    amount, unit = given * 3600e-6, "microampere-hours"
    amperes = abs(amount) / seconds
    if counter == ENERGY:
        amperes, unit = amperes / _volts(samples[0]), "microwatt-hours"
    if amperes < LEAST_AMPERES <= amperes * 1e3 <= MOST_AMPERES:
        # What no running device draws is a thousand times as much.
        amount, amperes, unit = amount * 1e3, amperes * 1e3, unit.replace("micro", "milli")
    if not LEAST_AMPERES <= amperes <= MOST_AMPERES:
        raise DataError(
            f"{source}/{counter}: {amperes:.3g} A by it, expected {LEAST_AMPERES:g} to "
            f"{MOST_AMPERES:g}: calibrate while the device works, with the charger away"
        )

    def charge(_: Sample) -> float:
        return 1.0

    by_charge = counter != ENERGY
    volts = _volts
    current = _factor(source, "current_now", samples, amount, charge if by_charge else volts)
    joules = amount * sum(map(_volts, samples)) / len(samples) if by_charge else amount
    power = _factor(source, "power_now", samples, joules, charge)
    what = "gave" if amount > 0 else "took"
    how = (
        f"{counter} in {unit} {what} {amperes:.3g} A in the mean over {seconds:.0f} s and "
        f"{changes} changes"
    )
    return Calibration(source, current, power, how)


def _by_state(source: str, samples: Sequence[Sample], status: str) -> Calibration:
    gives = {"Discharging": 1.0, "Charging": -1.0}.get(status)
    if gives is None:
        raise DataError(
            f"{source}: no counter of charge, and the state '{status}' does not say what the "
            "battery does: calibrate with the charger away"
        )
    found: dict[str, float | None] = {}
    for file in ("current_now", "power_now"):
        values = [v for s in samples if (v := s.number(file))]
        found[file] = None
        if not values:
            continue
        mean = sum(values) / len(values)
        least = LEAST_AMPERES * 1e6
        if abs(mean) < least and status != "Discharging":
            raise DataError(
                f"{source}/{file}: {mean:.3g} while it charges may be a trickle in micro or a "
                "current in milli: calibrate with the charger away"
            )
        unit = 1e-6 if abs(mean) >= least else 1e-3
        found[file] = math.copysign(unit, mean) * gives
    how = f"no counter of charge; the state was '{status}', and a running device draws above 20 mA"
    return Calibration(source, found["current_now"], found["power_now"], how)


def _factor(
    source: str,
    file: str,
    samples: Sequence[Sample],
    amount: float,
    weight: Callable[[Sample], float],
) -> float | None:
    """Unit and sign of a file, of which `amount` was given in the window; None without numbers."""
    if not _has(samples, file):
        return None
    raw = _integral(samples, file, weight)
    found = amount / raw if raw else math.inf
    unit = min(UNITS, key=lambda u: abs(math.log(abs(found) / u)) if math.isfinite(found) else 0)
    if not (math.isfinite(found) and 1 / _WITHIN <= abs(found) / unit <= _WITHIN):
        raise DataError(
            f"{source}/{file}: one of its units is {found:.3g} by the counter, expected about "
            "1e-06, 0.001 or 1: this driver's numbers cannot be used"
        )
    return math.copysign(unit, found)


def _integral(samples: Sequence[Sample], file: str, weight: Callable[[Sample], float]) -> float:
    values = [(s.at_s, v * weight(s)) for s in samples if (v := s.number(file)) is not None]
    pairs = itertools.pairwise(values)
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairs)


def _counter(samples: Sequence[Sample]) -> str | None:
    """The counter that every sample has; the one of charge, if there are two."""
    return next((n for n in COUNTERS if all(s.number(n) is not None for s in samples)), None)


def _changes(samples: Sequence[Sample], counter: str) -> int:
    values = [s.number(counter) for s in samples]
    return sum(a != b for a, b in itertools.pairwise(values))


def _has(samples: Sequence[Sample], file: str) -> bool:
    return any(s.number(file) for s in samples)


def _volts(sample: Sample) -> float:
    found = (sample.number("voltage_now") or 0.0) * 1e-6
    return found if 1.0 < found < 60.0 else _NOMINAL_VOLTS
