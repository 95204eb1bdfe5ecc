"""All mixing rules by name: a new one is a file of its own and a line here."""

from __future__ import annotations

from tfplus.gossip.mixing.metropolis import Metropolis
from tfplus.gossip.mixing.robust import Clipped, TrimmedMean
from tfplus.gossip.mixing.rule import Mixing
from tfplus.gossip.mixing.uniform import Uniform

__all__ = ["METROPOLIS", "MIXINGS", "Mixing"]

METROPOLIS: Mixing = Metropolis()
MIXINGS: dict[str, Mixing] = {
    rule.name: rule
    for rule in (
        METROPOLIS,
        Uniform(),
        Clipped(),
        TrimmedMean(),
    )
}
