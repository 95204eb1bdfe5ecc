"""What a gossip run is, for whoever starts one."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.data.scaling import Scaling
from tfplus.errors import UsageError
from tfplus.gossip.compression.registry import FLOAT32, kind_of
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.wire.tls import TlsFiles

NO_MEMBERSHIP = "none"
SWIM = "swim"
MEMBERSHIPS = (NO_MEMBERSHIP, SWIM)


@dataclass(frozen=True)
class RunOptions:
    """What a run is.

    Attributes:
      run_id: new for a new run; the same to go on with one.
      rounds: how often to average.
      epochs: local epochs before each average.
      seed: shuffles the samples.
      round_timeout_s: how long an agent waits for neighbours before it averages without them, at
        most; less once it is known how late they usually come.
      resume: go on from the agents' own weights and journals instead of the models' weights.
      keep_snapshots: agents keep the weights of every round.
      tls: own certificate; None for plaintext.
      insecure: plaintext also beyond loopback.
      topology: who is whose neighbour, one of `membership.registry.GRAPHS`.
      degree: neighbours an agent, of `random-regular`.
      mixing: how agents average, one of `mixing.registry.MIXINGS`.
      codec: of what agents send each other, see `compression.registry.link_codec`.
      membership: one of `MEMBERSHIPS`: `none`, where neighbours stay those of the start; `swim`,
        where agents find out who is there, and links follow from that.
      probe_period_s: of `swim`: how often an agent asks another whether it is there.
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
    topology: str = "ring"
    degree: int = 4
    mixing: str = "metropolis"
    codec: str = "float32"
    membership: str = NO_MEMBERSHIP
    probe_period_s: float = 1.0
    scaling: Scaling | None = None

    def check_known_to(self, status: pb.AgentStatus) -> None:
        """Checks that an agent can do what the run asks for.

        Raises:
          UsageError: it does not know the codec, or of no membership.
        """
        if self.membership != NO_MEMBERSHIP and not status.gossip_membership:
            raise UsageError(
                f"agent '{status.name}' does not know of members that come and go: expected tfplus "
                f"on it to be as new as here, got {status.version}; install a newer one there, or "
                "give --membership none"
            )
        known = status.gossip_codecs or [FLOAT32]
        if kind_of(self.codec) not in known:
            raise UsageError(
                f"agent '{status.name}' does not know the codec '{self.codec}': expected one of "
                f"{', '.join(known)}, which is what tfplus {status.version} on it has; install a "
                "newer one there, or choose another codec for all"
            )
