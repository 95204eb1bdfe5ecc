"""The standard health service; a watch costs no thread, and one that nobody reads holds up none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc

NAME = pb.DESCRIPTOR.services_by_name["Health"].full_name


class Health(health_pb2_grpc.HealthServicer):
    """Answers for the server and for each service. Lives in one event loop.

    Args:
      services: by full name; what is said of them is said of the server as a whole, too.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._serving = False
        self._ended = False
        self._following = frozenset(["", *services])
        self._watchers: set[asyncio.Event] = set()

    def set_serving(self, serving: bool) -> None:
        """Says from now on whether the services do their work."""
        self._serving = serving
        self._notify()

    def end(self) -> None:
        """Says that nothing is served any more, and ends every watch."""
        self._ended = True
        self.set_serving(False)

    async def Check(self, request: pb.HealthCheckRequest, context: Any) -> pb.HealthCheckResponse:  # noqa: N802
        """Whether a service does its work, now."""
        status = self._status(request.service)
        if status == pb.HealthCheckResponse.SERVICE_UNKNOWN:
            details = f"service '{request.service[:200]}' is not known here"
            await context.abort(grpc.StatusCode.NOT_FOUND, details)
        return pb.HealthCheckResponse(status=status)

    async def Watch(self, request: pb.HealthCheckRequest, context: Any) -> None:  # noqa: N802
        """Whether a service does its work, now and whenever that changes."""
        changed, told = asyncio.Event(), None
        self._watchers.add(changed)
        try:
            while True:
                changed.clear()
                status = self._status(request.service)
                if status != told:
                    await context.write(pb.HealthCheckResponse(status=status))
                    told = status
                if self._ended:
                    return
                await changed.wait()
        finally:
            self._watchers.discard(changed)

    def _status(self, service: str) -> pb.HealthCheckResponse.ServingStatus:
        if service == NAME:
            return _said(not self._ended)
        if service in self._following:
            return _said(self._serving)
        return pb.HealthCheckResponse.SERVICE_UNKNOWN

    def _notify(self) -> None:
        for watcher in self._watchers:
            watcher.set()


def _said(serving: bool) -> pb.HealthCheckResponse.ServingStatus:
    answers = pb.HealthCheckResponse
    return answers.SERVING if serving else answers.NOT_SERVING
