"""Which entries leave the cache: the rules of FedEx, as a pure decision.

An entry is dropped that is older than the current model, that was made under other
hyper-parameters, or that nobody annotated when the session ends. What is predicted often stays over
the end of a session, so that it is answered from the cache.
"""

from __future__ import annotations

from dataclasses import dataclass

OLD = "older than the model"
OTHER_HYPER_PARAMETERS = "other hyper-parameters"
NOT_ANNOTATED = "not annotated"
FREQUENT = 3


@dataclass(frozen=True)
class Known:
    """What the index knows of an entry.

    Attributes:
      added_s: when it was computed, seconds since 1970.
      hyper: hash of the hyper-parameters it was made under; empty where they are not known.
      label: a user's annotation, if any.
      predictions: how often it answered one.
    """

    added_s: float
    hyper: str
    label: int | None
    predictions: int


@dataclass(frozen=True)
class Session:
    """What entries are held against.

    Attributes:
      model_s: since when the frozen layers of the current model are in use, seconds since 1970.
      hyper: hash of the current hyper-parameters.
      has_ended: whether the session ends now.
      frequent: predictions from which on an entry counts as frequent.
    """

    model_s: float
    hyper: str
    has_ended: bool
    frequent: int = FREQUENT


def reason(entry: Known, session: Session) -> str | None:
    """Why an entry is dropped; None where it stays.

    Args:
      entry: in the cache.
      session: the current one.
    """
    if entry.added_s < session.model_s:
        return OLD
    if entry.hyper != session.hyper:
        return OTHER_HYPER_PARAMETERS
    if session.has_ended and entry.label is None and entry.predictions < session.frequent:
        return NOT_ANNOTATED
    return None
