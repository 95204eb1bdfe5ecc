"""An agent on an emulated Raspberry Pi, from a wheel to a resumed training; see scripts/test-arm64.

usage: python tools/pi/trial.py [--pi 4|5] [MODEL.tflite]
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from emulated_device import EmulatedDevice, RunningAgent
from safetensors.numpy import load_file

from tfplus.errors import TfplusError
from tfplus.wire import certs
from tfplus.wire.tls import TlsFiles
from tfplus_agent.doctor import patient

LIMIT_MB = 200
NAME = "emulated-pi"
# What a device has no use for; each would bring a hundred MB or more.
UNWANTED = {"tensorflow", "keras", "torch", "sklearn", "cryptography", "matplotlib"}
_STEPS_BEFORE_KILL = 3


PIP = ("/mnt/venv/bin/pip", "install", "-q", "--only-binary=:all:")
PIP += ("-c", "/tfplus/constraints.txt")


class StepFailedError(Exception):
    """A step did not do what it should."""


def require(condition: bool, what: str) -> None:
    """Ends the script where something is not as it should be."""
    if not condition:
        raise StepFailedError(what)


def step(name: str, work: Callable[[], str]) -> None:
    """Does a step and prints a line about it."""
    started = time.monotonic()
    try:
        found = work()
    except (StepFailedError, TfplusError, OSError, subprocess.SubprocessError) as error:
        print(f"FAILED  {name}: {error}", flush=True)
        if isinstance(error, subprocess.CalledProcessError):
            print(error.stderr or error.stdout or "")
        raise SystemExit(1) from None
    print(f"ok      {name}: {found} ({time.monotonic() - started:.0f} s)", flush=True)


def run_here(*arguments: str) -> str:
    """Runs a command of this clone's tfplus on this machine, and returns what it printed."""
    command = [sys.executable, "-m", "tfplus", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def until(stream: IO[str] | None, last: str) -> str:
    """Reads up to a line."""
    lines: list[str] = []
    for line in stream or ():
        lines.append(line)
        if line.strip() == last:
            return "".join(lines)
    raise StepFailedError(f"it ended after {lines}")


class Trial:
    """What the steps share: each is a method that returns what it found."""

    def __init__(self, device: EmulatedDevice, subject: patient.Patient) -> None:
        self.device = device
        self.subject = subject
        self.tls = TlsFiles(Path(), Path(), Path())
        self.agent: RunningAgent | None = None
        self.command: list[str] = []
        self.kept: dict[str, Any] = {}
        self.kept_steps = 0

    def install(self) -> str:
        """Builds the wheel here and installs it there."""
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", self.device.folder],
            check=True,
            capture_output=True,
            text=True,
        )
        (wheel,) = self.device.folder.glob("*.whl")
        self.device.run("python3", "-m", "venv", "/mnt/venv")
        self.device.run(*PIP, f"/mnt/{wheel.name}[agent]")
        return f"{wheel.name}[agent] on {self.device.run('uname', '-m').strip()}"

    def size(self) -> str:
        """How much disk the packages take, without pip."""
        (packages,) = (self.device.folder / "venv").glob("lib/python3*/site-packages")
        present = {p.name.partition("-")[0] for p in packages.iterdir()}
        require(not present & UNWANTED, f"installed: {sorted(present & UNWANTED)}")
        files = (
            f
            for p in packages.iterdir()
            if p.name.partition("-")[0] not in ("pip", "setuptools", "pkg_resources")
            for f in (p.rglob("*") if p.is_dir() else [p])
        )
        megabytes = sum(f.lstat().st_size for f in files) / 1e6
        require(megabytes < LIMIT_MB, f"{megabytes:.0f} MB, expected less than {LIMIT_MB}")
        return f"{megabytes:.0f} MB, no TensorFlow"

    def pair(self) -> str:
        """Pairs the device, which makes its own key, with a CA here, by the code that it shows."""
        now = datetime.datetime.now(datetime.timezone.utc)
        folder = self.device.folder
        certs.create_ca(folder / "ca", now)
        certs.issue("host", ["localhost"], folder / "ca", folder / "host", now)
        self.tls = TlsFiles.load(folder / "host")
        (wheel,) = folder.glob("*.whl")
        self.device.run(*PIP, f"/mnt/{wheel.name}[agent,pair]")
        options = ["--tls-dir", "/mnt/tls", "--name", NAME, "--listen", "127.0.0.1:0", "--json"]
        with self.device.open("agent", "pair", *options) as device:
            shown = json.loads(until(device.stdout, "}"))
            port = shown["address"].rpartition(":")[2]
            desk = [f"localhost:{port}", shown["code"], "--ca", str(folder / "ca")]
            run_here("pair", *desk)
            paired = json.loads(until(device.stdout, "}"))
            require(device.wait(60) == 0, "the device's side did not end with 0")
        require(paired["paired_as"] == NAME, f"paired as {paired['paired_as']}")
        return f"by the code {shown['code']}, its key was made there"

    def service(self) -> str:
        """Has the device write its unit, and takes from it the command that it runs."""
        samples = {n: np.concatenate([v] * 4) for n, v in self.subject.samples.items()}
        np.savez(self.device.folder / "data.npz", **samples)
        options = ["--data", "/mnt/data.npz", "--tls-dir", "/mnt/tls", "--listen", "127.0.0.1:0"]
        self.device.tfplus("agent", "install", "--user", "--memory-max", "50%", *options)
        unit = self.device.folder / "home/.config/systemd/user/tfplus-agent.service"
        lines = unit.read_text().splitlines()
        for line in ("Type=notify", "NoNewPrivileges=yes", "MemoryMax=50%"):
            require(line in lines, f"{unit.name} lacks {line}")
        (command,) = (x.removeprefix("ExecStart=") for x in lines if x.startswith("ExecStart="))
        self.command = command.split(" ")
        return f"{unit.name}, {len(lines)} lines"

    def start(self) -> str:
        """Runs the service's command as systemd would, until it says that it serves."""
        self.agent = self.device.start(self.command, self.tls)
        return f"READY, serves on {self.agent.address}"

    def health(self) -> str:
        """Asks the health service from the device itself, as a container's check does."""
        answer = self.device.tfplus("agent", "health", self._agent.address, "--tls-dir", "/mnt/tls")
        require(answer.strip() == "SERVING", answer)
        return f"{answer.strip()}, and {self._agent.beats()} beats of the watchdog"

    def train(self) -> str:
        """Trains an epoch over TLS by `tfplus train --agent`, typed here."""
        client, folder = self._agent.client, self.device.folder
        there = ["--agent", client.address, "--tls-dir", str(folder / "host"), "--json"]
        report = json.loads(run_here("train", str(self.subject.read.path), *there))
        self.kept, self.kept_steps = client.weights(), client.status().trained_steps
        require(self.kept_steps == report["steps"] > 0, f"{self.kept_steps} steps, {report}")
        memory = client.status().memory
        resident = (memory.daemon_rss_bytes / 1e6, memory.worker_peak_rss_bytes / 1e6)
        return (
            f"{self.kept_steps} steps, loss {report['mean_metrics']['loss']:.3f}; with the "
            f"emulator's own, daemon {resident[0]:.0f} MB, worker at most {resident[1]:.0f} MB"
        )

    def kill(self) -> str:
        """Ends the agent in mid-run, without a word."""
        seen = 0
        try:
            for event in self._agent.client.train(epochs=10_000):
                seen += event.HasField("step")
                if seen == _STEPS_BEFORE_KILL:
                    self._agent.kill()
        except TfplusError:
            # Its link broke, as it should.
            pass
        require(seen >= _STEPS_BEFORE_KILL, f"it ended after {seen} steps")
        return f"after {seen} more steps"

    def weights(self) -> str:
        """Compares what is served now with the newest checkpoint on the device's disk."""
        served, steps = self._agent.client.weights(), self._agent.client.status().trained_steps
        checkpoints = sorted(self.device.folder.glob("home/**/checkpoints/*/*.safetensors"))
        held = load_file(checkpoints[-1])
        wrong = [n for n, v in served.items() if not np.array_equal(v, held[n])]
        require(not wrong, f"not those of {checkpoints[-1].name}: {wrong}")
        require(steps >= self.kept_steps, f"step {steps}, acknowledged were {self.kept_steps}")
        if steps == self.kept_steps:
            lost = [n for n, v in served.items() if not np.array_equal(v, self.kept[n])]
            require(not lost, f"not what was acknowledged: {lost}")
        return f"those of {checkpoints[-1].name}, step {steps}, bit for bit"

    def resume(self) -> str:
        """Trains on from there."""
        before = self._agent.client.status().trained_steps
        *_, last = self._agent.client.train(epochs=1)
        after = last.summary.trained_steps
        require(after > before, f"from step {before} to {after}")
        return f"from step {before} to {after}"

    def end(self) -> str:
        """Ends the agent as systemd does."""
        code = self._agent.end()
        require(code == 0, f"it ended with {code}")
        return "STOPPING, then exit code 0"

    @property
    def _agent(self) -> RunningAgent:
        if self.agent is None:
            raise StepFailedError("it was not started")
        return self.agent


def main() -> None:
    """Runs every step in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pi", choices=("4", "5"), default="4")
    parser.add_argument("model", nargs="?", type=Path)
    given = parser.parse_args()
    subject = patient.of_file(given.model) if given.model else patient.probe()
    with tempfile.TemporaryDirectory(prefix="tfplus-arm64-") as folder:
        trial = Trial(EmulatedDevice(Path(folder), given.pi), subject)
        try:
            step("install the wheel", trial.install)
            step("installed size", trial.size)
            step("pair", trial.pair)
            step("write the service's files", trial.service)
            step("start the service", trial.start)
            step("health", trial.health)
            step("train over TLS", trial.train)
            step("kill -9 in mid-run", trial.kill)
            step("start it again", trial.start)
            step("read the weights", trial.weights)
            step("go on", trial.resume)
            step("stop", trial.end)
        finally:
            if trial.agent is not None:
                trial.agent.kill()


if __name__ == "__main__":
    main()
