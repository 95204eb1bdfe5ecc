"""What a gossip run is, for whoever starts one."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.data.scaling import Scaling
from tfplus.wire.tls import TlsFiles


@dataclass(frozen=True)
class RunOptions:
    """What a run is.

    Attributes:
      run_id: new for a new run; the same to go on with one.
      rounds: how often to average.
      epochs: local epochs before each average.
      seed: shuffles the samples.
      round_timeout_s: how long an agent waits for neighbours before it averages without them.
      resume: go on from the agents' own weights and journals instead of the models' weights.
      keep_snapshots: agents keep the weights of every round.
      tls: own certificate; None for plaintext.
      insecure: plaintext also beyond loopback.
      scaling: of the values of the agents' data, instead of what their models' files declare.
    """

    run_id: str
    rounds: int
    epochs: int = 1
    seed: int = 0
    round_timeout_s: float = 30.0
    resume: bool = False
    keep_snapshots: bool = False
    tls: TlsFiles | None = None
    insecure: bool = False
    scaling: Scaling | None = None
