"""What devices and their links are taken to be, when a step's time is predicted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """Of one device.

    Attributes:
      macs_per_s: multiplications and additions a second.
      call_s: seconds that a pass of a group takes beside its products.
    """

    macs_per_s: float
    call_s: float = 0.0

    def seconds(self, macs: int, calls: int) -> float:
        """Of so many products in so many passes."""
        return macs / self.macs_per_s + calls * self.call_s


@dataclass(frozen=True)
class Link:
    """From one device to another.

    Attributes:
      bits_per_s: one way.
      message_s: seconds that a message takes beside its bytes.
    """

    bits_per_s: float
    message_s: float


@dataclass(frozen=True)
class Cluster:
    """What the devices are assumed to be: each linked to every other, all links alike.

    Attributes:
      macs_per_s: multiplications and additions a second that a device does.
      bits_per_s: of its link, each way.
      message_s: seconds that a message takes beside its bytes.
      memory_bytes: that tiles may take on a device; None for no limit.
      speeds: of each device, where they are known; else all are as `macs_per_s` says.
    """

    macs_per_s: float = 1e9
    bits_per_s: float = 100e6
    message_s: float = 1e-3
    memory_bytes: int | None = None
    speeds: tuple[Speed, ...] = ()

    @property
    def unequal(self) -> bool:
        """Whether some devices are faster than others."""
        return len(set(self.speeds)) > 1

    def compute_s(self, device: int, macs: int, calls: int) -> float:
        """Seconds that a device takes for so many products in so many passes."""
        return self._speed(device).seconds(macs, calls)

    def macs_of(self, device: int) -> float:
        """Multiplications and additions a second of one device."""
        return self._speed(device).macs_per_s

    def _speed(self, device: int) -> Speed:
        return self.speeds[device] if device < len(self.speeds) else Speed(self.macs_per_s)
