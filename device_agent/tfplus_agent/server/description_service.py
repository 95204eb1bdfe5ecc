"""The Description service: what a device has, and how fast it is."""

from __future__ import annotations

import contextlib

import grpc

from tfplus.errors import DataError, MissingExtraError
from tfplus.proto.v1 import description_pb2 as pb
from tfplus.proto.v1 import description_pb2_grpc
from tfplus.system import memory
from tfplus_agent.device import description
from tfplus_agent.device.device import Device


class DescriptionService(description_pb2_grpc.DescriptionServicer):
    """Answers the calls of the Description service.

    Args:
      device: that is described.
    """

    def __init__(self, device: Device) -> None:
        self._device = device

    def Describe(  # noqa: N802
        self, request: pb.DescribeRequest, context: grpc.ServicerContext
    ) -> pb.TrainingDescription:
        """Data by class, memory, speed if it is asked for, and what does not train."""
        device = self._device
        said = pb.TrainingDescription(
            name=device.name,
            train_samples=device.train_samples,
            memory_bytes=memory.total_bytes(),
        )
        try:
            for label, count in description.class_counts(device.data).items():
                said.class_samples[label] = count
        except (DataError, MissingExtraError) as error:
            said.no_class_samples = str(error)
        if request.measure_speed:
            said.flops_per_s = description.flops_per_s()
        # No model is loaded.
        with contextlib.suppress(DataError):
            manifest = device.manifest
            said.model_name = manifest.name
            for frozen in manifest.frozen:
                said.frozen.add(name=frozen.name, sha256=frozen.sha256)
        return said
