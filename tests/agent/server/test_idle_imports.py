"""What a daemon that nobody gave work to has imported: what is in there, it holds for weeks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# Does what the daemon does, answers one call, and says what it has imported by then.
_DAEMON = """
import json, signal, sys
from tfplus_agent import daemon
from tfplus_agent.server import agent_server
from tfplus.proto.v1 import agent_pb2, agent_pb2_grpc

def serve(config, on_ready):
    import grpc
    server = agent_server.AgentServer(config)
    server.start()
    on_ready(server)
    with grpc.insecure_channel(server.address) as channel:
        stub = agent_pb2_grpc.AgentStub(channel)
        assert stub.GetStatus(agent_pb2.GetStatusRequest(), timeout=60).train_samples
    print(json.dumps(sorted(sys.modules)))
    server.stop()
    return signal.SIGTERM

agent_server.serve = serve
daemon.run(**json.loads(sys.argv[1]))
"""
# Of an archive of arrays, with no model loaded, a daemon needs none of these.
_HEAVY = {
    "ai_edge_litert",
    "csv",
    "decimal",
    "difflib",
    "email",
    "http.server",
    "importlib.metadata",
    "matplotlib",
    "numpy.random",
    "rich",
    "safetensors",
    "sqlite3",
    "statistics",
    "tensorflow",
    "tflite_runtime",
    "typer",
    "wave",
    "zeroconf",
    "tfplus.benchmark.own_process",
    "tfplus.cli.main",
    "tfplus.data.store.sample_store",
    "tfplus.features.cache",
    "tfplus.gossip.core.machine",
    "tfplus.gossip.messages",
    "tfplus.gossip.transport.grpc_link",
    "tfplus.measure.result",
    "tfplus_agent.server.samples_service",
}


def test_an_idle_daemon_has_not_imported_what_it_never_uses(
    train_data: Path, tmp_path: Path
) -> None:
    options = {
        "name": "a",
        "data": str(train_data),
        "eval_data": None,
        "state_dir": str(tmp_path / "state"),
        "runtime": "auto",
        "threads": 1,
        "accelerator": "cpu",
        "loss_every": 1,
        "gpu_precision": "float32",
        "scale": None,
        "offset": None,
        "listen": "127.0.0.1:0",
        "tls_dir": None,
        "insecure": False,
        "keep_runs": 10,
        "keep_models": 10,
        "feature_cache_mb": 1,
        "gates": {"hours": None},
        "priority": "foreground",
        "cpus": None,
        "cpu_share": None,
        "metrics": None,
        "upload_bytes_per_s": None,
        "announce": False,
        "ready_file": None,
        "as_json": True,
    }
    command = [sys.executable, "-c", _DAEMON, json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ready, modules = map(json.loads, done.stdout.splitlines())
    assert ready["name"] == "a"
    assert {"grpc", "numpy", "tfplus_agent.server.agent_server"} < set(modules)
    assert sorted(_HEAVY & set(modules)) == []
