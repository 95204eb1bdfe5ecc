"""What devices wait for when many of them send features to one server, and what it costs there.

usage: python benchmarks/features/flushes.py [--devices 1 4 16 64 256] [--flushes 512]
                                            [--samples 32] [--model FILE.tflite] [--json FILE]

For each number of devices a `tfplus server` is started anew, a process of its own on loopback in
plaintext, with an empty state that was opened before, and without a training. The devices are
threads of this process, each with a connection of its own; they begin together, and each sends its
part of --flushes batches, the next one when the last was answered. A batch is answered when it is
on the server's disk. Latency is what the device sees, with its own share of the processor. At the
end the server must hold every sample once. Without --model, `fedex.py` exports the head of its
small CNN.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "device_agent"), str(ROOT / "benchmarks")]

from support.agent_processes import COMMAND, cpu_s, peak_mib, running  # noqa: E402

from tfplus.feature_server.state.store import Store  # noqa: E402
from tfplus.features import signature  # noqa: E402
from tfplus.fleet.clients.feature_client import FeatureClient, header_of  # noqa: E402
from tfplus.model_file import artifact  # noqa: E402
from tfplus.model_file.manifest import Manifest  # noqa: E402

MODEL = "small CNN"
NEVER = str(10**9)
HEAD = (
    "| devices | flushes | p50, ms | p99, ms | flushes/s | kB a flush | server CPU, s "
    "| server's peak memory, MiB |\n|---|---|---|---|---|---|---|---|"
)


def exported(folder: Path) -> Path:
    """A head with its backbone."""
    command = [sys.executable, str(ROOT / "benchmarks" / "fedex.py"), "--export-only"]
    subprocess.run([*command, "--models", MODEL, "--files", str(folder)], check=True)
    return folder / f"{MODEL}-head.tflite"


class Device:
    """One that sends batches of random features."""

    def __init__(self, number: int, address: str, manifest: Manifest, samples: int) -> None:
        self._number, self._samples, self._sent = number, samples, 0
        makers = signature.makers(manifest.features, manifest.preprocessing)
        self._made = makers[-1], signature.hyper_parameters(manifest)
        self._shape = manifest.features[-1].feature.shape
        rng = np.random.default_rng(number)
        self._rows = rng.random((samples, *self._shape), np.float32)
        self.client = FeatureClient(address, timeout_s=600)
        # Connected, so that no latency has a handshake in it.
        self.client.published()
        self.client.sent_bytes = self.client.received_bytes = 0

    def flush(self) -> float:
        """Sends a batch; returns seconds until it was acknowledged."""
        first = self._sent * self._samples
        keys = [(first + i).to_bytes(16, "little") for i in range(self._samples)]
        device, labels = f"device-{self._number}", [0] * self._samples
        header = header_of(f"b-{self._sent}", device, self._made, self._shape, keys, labels)
        begin = time.perf_counter()
        self.client.flush(header, self._rows)
        taken_s = time.perf_counter() - begin
        self._sent += 1
        return taken_s


def measure(model: Path, devices: int, flushes: int, samples: int, folder: Path) -> dict[str, Any]:
    """One row of the table.

    Raises:
      SystemExit: the server does not hold every sample once.
    """
    manifest, each = artifact.read(model).manifest, max(1, flushes // devices)
    command = [sys.executable, "-c", COMMAND, "server", str(model), "--json", "--every", NEVER]
    command += ["--state-dir", str(folder), "--listen", "127.0.0.1:0"]
    # As at every start but the first, which makes the tables.
    Store(folder).close()
    with running(command) as ready:
        pid, address = ready["pid"], ready["address"]
        many = [Device(number, address, manifest, samples) for number in range(devices)]
        together = threading.Barrier(devices + 1)

        def work(device: Device) -> list[float]:
            together.wait()
            return [device.flush() for _ in range(each)]

        with ThreadPoolExecutor(devices) as pool:
            waiting = [pool.submit(work, device) for device in many]
            before_s, begin = cpu_s(pid), time.perf_counter()
            together.wait()
            latencies = [taken_s for one in waiting for taken_s in one.result()]
            wall_s = time.perf_counter() - begin
        used_s, peak = cpu_s(pid) - before_s, peak_mib(pid)
        sent = sum(device.client.sent_bytes for device in many)
        held = many[0].client.published().samples
        for device in many:
            device.client.close()
    if held != len(latencies) * samples:
        raise SystemExit(f"the server holds {held} samples of {len(latencies) * samples}")
    p50, p99 = np.percentile(latencies, (50, 99)) * 1e3
    return {"devices": devices, "flushes": len(latencies), "p50_ms": p50, "p99_ms": p99,
            "flushes_per_s": len(latencies) / wall_s, "sent_bytes": sent,
            "server_cpu_s": used_s, "server_peak_mib": peak}  # fmt: skip


def line(row: dict[str, Any]) -> str:
    """A row of the table; its head is `HEAD`."""
    return (
        f"| {row['devices']} | {row['flushes']} | {row['p50_ms']:.1f} | {row['p99_ms']:.0f} "
        f"| {row['flushes_per_s']:.0f} | {row['sent_bytes'] / row['flushes'] / 1e3:.1f} "
        f"| {row['server_cpu_s']:.1f} | {row['server_peak_mib']:.0f} |"
    )


def main() -> None:
    """Measures, prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    parser.add_argument("--flushes", type=int, default=512, help="of all devices together")
    parser.add_argument("--samples", type=int, default=32, help="of a flush")
    parser.add_argument("--model", type=Path, help="a file of tfplus export --split")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model or exported(folder)
        cores, load = os.cpu_count(), os.getloadavg()[0]
        print(f"{options.samples} samples a flush, {cores} cores, load {load:.1f} before\n{HEAD}")
        rows: list[dict[str, Any]] = []
        for count in options.devices:
            state = folder / f"state-{count}"
            rows.append(measure(model, count, options.flushes, options.samples, state))
            print(line(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
