"""How many calls each peer may have under way, so that none takes the places of the others.

Calls of one kind share a group: control calls have threads and places of their own, so that they
are answered whatever the other groups do. A peer is the name in its certificate or, in plaintext,
its address.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tfplus.errors import TfplusError
from tfplus.system import allocator
from tfplus.wire.tls import peer_name


@dataclass(frozen=True)
class Group:
    """Calls that share places and threads.

    Attributes:
      calls: what its calls are, for messages.
      per_peer: calls of one peer at once; above that its next one is refused.
      threads: that carry its calls out; calls above that wait for one. A call that has sent nothing
        yet holds none.
      paced: whether a caller must also take what it is sent at the least rate.
      bulky: whether its calls leave much memory behind, which goes back behind the last of them.
    """

    calls: str
    per_peer: int
    threads: int
    paced: bool = False
    bulky: bool = False


CONTROL = Group("control calls", per_peer=4096, threads=4)
# Reading them may start a program of the system, such as a Pi's vcgencmd.
SENSORS = Group("readings of sensors", per_peer=16, threads=2)
WORK = Group("calls that load, train, evaluate or store", per_peer=8, threads=16)
TRANSFERS = Group("transfers of weights and models", per_peer=8, threads=16, paced=True, bulky=True)
# Neighbours without certificates may all be of one address.
EXCHANGES = Group("contributions", per_peer=32, threads=64, bulky=True)
# Never behind contributions: who answers late is suspected.
MEMBER_MESSAGES = Group("messages of members", per_peer=64, threads=4)
GOSSIP_WATCHES = Group("watches of gossip runs", per_peer=16, threads=32)
JOB_WATCHES = Group("watches of jobs", per_peer=32, threads=128)
SENSOR_WATCHES = Group("watches of sensors", per_peer=4, threads=16)
# Health watches and reflection run without a thread.
WATCHES = Group("watches", per_peer=1024, threads=1)

_AGENT = "/tfplus.proto.v1.Agent/"
_JOBS = "/tfplus.proto.v1.Jobs/"
_SAMPLES = "/tfplus.proto.v1.Samples/"
_TELEMETRY = "/tfplus.proto.v1.Telemetry/"
GROUPS: Mapping[str, Group] = {
    "/grpc.health.v1.Health/Check": CONTROL,
    f"{_AGENT}GetStatus": CONTROL,
    "/tfplus.proto.v1.Telemetry/ReadSensors": SENSORS,
    f"{_AGENT}FindModel": CONTROL,
    f"{_AGENT}SubmitJob": CONTROL,
    f"{_AGENT}ListJobs": CONTROL,
    f"{_AGENT}CancelJob": CONTROL,
    f"{_AGENT}WatchJob": JOB_WATCHES,
    f"{_JOBS}PauseJob": CONTROL,
    f"{_JOBS}ResumeJob": CONTROL,
    f"{_JOBS}RunAttachedJob": JOB_WATCHES,
    f"{_JOBS}GetJobResult": TRANSFERS,
    f"{_SAMPLES}AddSample": WORK,
    f"{_SAMPLES}CorrectSample": WORK,
    f"{_SAMPLES}ForgetSamples": WORK,
    f"{_SAMPLES}ListSamples": WORK,
    f"{_SAMPLES}ImportSamples": TRANSFERS,
    f"{_TELEMETRY}ReadSensors": CONTROL,
    f"{_TELEMETRY}WatchSensors": SENSOR_WATCHES,
    f"{_AGENT}LoadModel": WORK,
    f"{_AGENT}Train": WORK,
    f"{_AGENT}Evaluate": WORK,
    "/tfplus.proto.v1.Description/Describe": WORK,
    f"{_AGENT}StartGossip": WORK,
    f"{_AGENT}StopGossip": WORK,
    f"{_AGENT}UploadModel": TRANSFERS,
    f"{_AGENT}GetWeights": TRANSFERS,
    f"{_AGENT}SetWeights": TRANSFERS,
    f"{_AGENT}WatchGossip": GOSSIP_WATCHES,
    "/tfplus.proto.v1.Gossip/Exchange": EXCHANGES,
    f"{_AGENT}AdmitToGossip": CONTROL,
    "/tfplus.proto.v1.Membership/Tell": MEMBER_MESSAGES,
    "/tfplus.proto.v1.Membership/TakeOver": TRANSFERS,
    "/tfplus.proto.v1.Benchmarks/DescribeDevice": CONTROL,
    "/tfplus.proto.v1.Benchmarks/RunBenchmark": WORK,
}


class TooManyCallsError(TfplusError):
    """A peer has as many calls of a group under way as it may."""

    exit_code = 5
    status = "RESOURCE_EXHAUSTED"


class Places:
    """The places of one group. Thread-safe.

    Args:
      group: whose.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, peer: str) -> None:
        """Takes a place for a call of `peer`.

        Raises:
          TooManyCallsError: the peer holds all that it may.
        """
        with self._lock:
            if self._taken[peer] >= self.group.per_peer:
                raise TooManyCallsError(
                    f"'{peer}' has {self.group.per_peer} {self.group.calls} under way, as many as "
                    "one peer may have: end one, or wait for its end"
                )
            self._taken[peer] += 1

    def give_back(self, peer: str) -> None:
        """Frees a place that was taken for `peer`."""
        with self._lock:
            self._taken[peer] -= 1
            if not self._taken[peer]:
                del self._taken[peer]
            empty = not self._taken
        if empty and self.group.bulky:
            allocator.give_back()


def peer_of(context: Any) -> str:
    """Whose places a call takes: the name in the certificate, else the address without its port."""
    name = peer_name(context)
    if name is not None:
        return name
    # Such as `ipv4:127.0.0.1:50123` and `ipv6:%5B::1%5D:50123`.
    _, _, address = unquote(str(context.peer())).partition(":")
    return address.rpartition(":")[0] or address
