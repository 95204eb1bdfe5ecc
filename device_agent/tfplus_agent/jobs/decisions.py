"""Whether an operation on the device may begin: a pure decision, free of threads and time.

The device does one operation at a time, a short or a long one. A reservation, such as a gossip run
or a job, keeps it for many operations: between them others may read, and nobody else may change
what it works on. A long operation may step aside between two of its steps: who waits to read then
does so, and it goes on. Who asks is let in, waits, or is refused, by what is in the way:

    in the way            a read    a change  a reservation  a patient one  the reservation's own
    --------------------  --------  --------  -------------  -------------  ---------------------
    nothing               start     start     start          start          start
    a short operation     wait      wait      wait           wait           wait
    a long operation      refuse    refuse    refuse         wait           wait
    one that steps aside  wait      refuse    refuse         wait           wait
    a reservation         (*)       refuse    refuse         wait           (*)
    its own withdrawal                        refuse         refuse         refuse
    the end of the agent  refuse    refuse    refuse         refuse         refuse

(*) as if it were not there. For what must be done at the end of a reservation, its withdrawal is
not there either. Where two things are in the way, the lower line counts. Who waits is asked about
again, in the order of arrival, whenever something begins or ends.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class Kind(enum.Enum):
    """What is asked for."""

    READ = "read"
    CHANGE = "change"
    RESERVATION = "reservation"


class Verdict(enum.Enum):
    """What becomes of who asks."""

    START = "start"
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Ask:
    """Somebody who wants the device.

    Attributes:
      number: of this one alone.
      what: in words, such as `training`.
      kind: what for.
      long: whether others had better be refused than wait for its end.
      steps_aside: whether it lets others read between its steps, so that they wait for that.
      patient: whether it waits where others are refused.
      under: number of the reservation that it is an operation of; None for nobody's.
      last: whether it must be done at the end of that, also where it was withdrawn.
    """

    number: int
    what: str
    kind: Kind
    long: bool = False
    patient: bool = False
    under: int | None = None
    last: bool = False
    steps_aside: bool = False


@dataclass(frozen=True)
class Use:
    """What the device is used for.

    Attributes:
      running: the operation under way.
      aside: an operation under way that has stepped aside, and waits to go on.
      reserved: the reservation that holds the device.
      waiting: who waits, in the order of arrival.
      withdrawn: numbers of reservations that were withdrawn and not yet given back.
      ending: whether the agent ends.
    """

    running: Ask | None = None
    aside: Ask | None = None
    reserved: Ask | None = None
    waiting: tuple[Ask, ...] = ()
    withdrawn: frozenset[int] = frozenset()
    ending: bool = False


@dataclass(frozen=True)
class Decision:
    """What becomes of who asks, and why.

    Attributes:
      verdict: whether it starts.
      because: what is in the way, in words; empty where nothing is.
      withdrawn: whether it was called off by who asked for it.
    """

    verdict: Verdict
    because: str = ""
    withdrawn: bool = False


def decide(use: Use, ask: Ask) -> Decision:
    """Decides by the table above."""
    if use.aside == ask:
        return Decision(Verdict.START if use.running is None else Verdict.WAIT)
    if use.ending:
        return Decision(Verdict.REFUSE, "closing is under way on this agent")
    if not ask.last and (ask.number in use.withdrawn or ask.under in use.withdrawn):
        return Decision(Verdict.REFUSE, "it was stopped", withdrawn=True)
    own = use.reserved is not None and ask.under == use.reserved.number
    patient = ask.patient or own
    if use.reserved is not None and not own and ask.kind is not Kind.READ:
        because = f"{use.reserved.what} is under way on this agent: wait for its end, or stop it"
        return Decision(Verdict.WAIT if patient else Verdict.REFUSE, because)
    reads = ask.kind is Kind.READ
    if use.running is None and (use.aside is None or reads):
        return Decision(Verdict.START)
    under_way = use.running or use.aside
    because = f"{under_way.what} is under way on this agent" if under_way else ""
    first = use.aside or under_way
    if first and first.long and not patient and not (first.steps_aside and reads):
        return Decision(Verdict.REFUSE, because)
    return Decision(Verdict.WAIT, because)


def arrive(use: Use, ask: Ask) -> Use:
    """Puts somebody at the end of those who wait."""
    return replace(use, waiting=(*use.waiting, ask))


def step_aside(use: Use, ask: Ask) -> Use:
    """Makes the operation under way wait behind those who wait now."""
    return replace(use, running=None, aside=ask, waiting=(*use.waiting, ask))


def leave(use: Use, ask: Ask) -> Use:
    """Takes somebody away: it has ended, was given back, or waits no longer."""
    return replace(
        use,
        running=None if use.running == ask else use.running,
        aside=None if use.aside == ask else use.aside,
        reserved=None if use.reserved == ask else use.reserved,
        waiting=tuple(a for a in use.waiting if a != ask),
    )


def settle(use: Use) -> tuple[Use, list[tuple[Ask, Decision]]]:
    """Lets everybody begin who may, and refuses whom the table refuses.

    Returns:
      The use from now on, and who was refused.
    """
    while starting := next((a for a in use.waiting if _starts(use, a)), None):
        use = leave(use, starting)
        if starting.kind is Kind.RESERVATION:
            use = replace(use, reserved=starting)
        else:
            use = replace(use, running=starting)
    decided = [(ask, decide(use, ask)) for ask in use.waiting]
    refused = [(a, d) for a, d in decided if d.verdict is Verdict.REFUSE]
    for ask, _ in refused:
        use = leave(use, ask)
    return use, refused


def _starts(use: Use, ask: Ask) -> bool:
    return decide(use, ask).verdict is Verdict.START
