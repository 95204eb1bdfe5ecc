"""grpclib: gRPC in pure Python over hyper-h2, so that no line of gRPC's core is shared."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import numpy as np
import pytest

from tfplus.fleet.clients.client import AgentClient
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import tensors_pb2 as tensors_pb
from tfplus.wire.tensors import from_parts, to_parts
from tfplus.wire.tls import TlsFiles
from tfplus_agent.server.agent_server import AgentServer

grpclib_client = pytest.importorskip("grpclib.client", reason="pip install grpclib")
_AGENT = "/tfplus.proto.v1.Agent/"
TIMEOUT_S = 30


def talking(served: AgentServer, tls: TlsFiles, talk: Any) -> Any:
    """Runs a conversation over a channel of its own."""

    async def run() -> Any:
        context = ssl.create_default_context(cafile=str(tls.ca))
        context.load_cert_chain(tls.cert, tls.key)
        context.set_alpn_protocols(["h2"])
        host, port = served.address.rsplit(":", 1)
        async with grpclib_client.Channel(host, int(port), ssl=context) as channel:
            found = await talk(channel)
            # grpclib closes without waiting for it: what is open when its loop ends is a warning.
            protocol = await channel.__connect__()
            protocol.connection._transport.abort()
            for _ in range(3):
                await asyncio.sleep(0)
            return found

    return asyncio.run(run())


def test_status(served: AgentServer, tls: TlsFiles) -> None:
    async def talk(channel: Any) -> pb.AgentStatus:
        call = grpclib_client.UnaryUnaryMethod(
            channel, f"{_AGENT}GetStatus", pb.GetStatusRequest, pb.AgentStatus
        )
        return await call(pb.GetStatusRequest(), timeout=TIMEOUT_S)

    status = talking(served, tls, talk)
    assert (status.name, status.train_samples) == ("a", served.device.train_samples)


def test_weights_stream_out_and_in(served: AgentServer, tls: TlsFiles) -> None:
    async def out(channel: Any) -> list[tensors_pb.TensorSetPart]:
        call = grpclib_client.UnaryStreamMethod(
            channel, f"{_AGENT}GetWeights", pb.GetWeightsRequest, tensors_pb.TensorSetPart
        )
        return await call(pb.GetWeightsRequest(), timeout=TIMEOUT_S)

    found = from_parts(talking(served, tls, out))
    with AgentClient(served.address, tls) as client:
        expected = client.weights()
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)
        changed = {"shared/logits/bias": np.arange(10, dtype=np.float32)}

        async def into(channel: Any) -> pb.SetWeightsResponse:
            call = grpclib_client.StreamUnaryMethod(
                channel, f"{_AGENT}SetWeights", tensors_pb.TensorSetPart, pb.SetWeightsResponse
            )
            return await call(list(to_parts(changed)), timeout=TIMEOUT_S)

        assert talking(served, tls, into).saved
        np.testing.assert_array_equal(
            client.weights(["shared/logits/bias"])["shared/logits/bias"],
            changed["shared/logits/bias"],
        )
