"""Jobs that run the loaded model on the agent's samples, and leave what came of it on the agent."""

from __future__ import annotations

from typing import Protocol

from tfplus.errors import UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slices import Tensors
from tfplus_agent.jobs.job import Job
from tfplus_agent.jobs.kind import JobKind


class Predictor(Protocol):
    """What a prediction needs of the device."""

    @property
    def eval_samples(self) -> int:
        """In the evaluation data; 0 without."""
        ...

    def predict(self, *, training_data: bool = False) -> Tensors:
        """Runs the model."""
        ...


class Prediction(JobKind):
    """See `JobKind`.

    Args:
      device: does the work.
    """

    work = "predict"

    def __init__(self, device: Predictor) -> None:
        self._device = device

    def check(self, spec: pb.JobSpec) -> None:
        """Whether there are samples."""
        if not spec.predict.training_data and not self._device.eval_samples:
            raise UsageError(
                "no evaluation data on this agent: start it with --eval-data, or predict on its "
                "training data"
            )

    def carry_out(self, job: Job, why: str) -> None:
        """Predicts from the beginning, also where it goes on."""
        if why:
            job.tell(pb.JobEvent.RESUMED, reason=why)
        asked = job.record.spec.predict
        job.leave(self._device.predict(training_data=asked.training_data))
        job.end(pb.JobEvent.FINISHED)
