"""Autotuning: measures the kernel variants of a model's operations on the device that runs them.

What counts is the whole step: a variant changes peak memory and which operators XNNPACK
takes together, too. So one operation at a time gets another variant, and that step is timed in
turn with the step of the defaults.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tfplus.errors import RemoteError
from tfplus.fleet.clients.client import AgentClient
from tfplus.measure import ratios
from tfplus.measure.alternation import Limit, Plan, RunBlock, in_turn, timed
from tfplus.measure.result import median_ms
from tfplus.system import temporary
from tfplus_export.costs.timed_step import runnable
from tfplus_export.lowering.engine.kernel_variants import Choice, choices
from tfplus_export.passes.microbatching import choice as microbatches
from tfplus_export.pipeline import api, train_graph
from tfplus_export.pipeline.stages.options import Options, Progress
from tfplus_export.sources.source import Source
from tfplus_export.tuning.tuning_file import Measurement, TuningFile

_LOCAL = Plan(blocks=5, each=Limit(50, 0.3), warm_up=Limit(2))
# On an agent every block begins with loading the model.
_AGENT_BLOCKS = 3
_DEFAULT, _OTHER = "default", "other"


class Stopwatch(Protocol):
    """Times the steps of two exports of one model."""

    def times(self, source: Source, default: Options, other: Options) -> tuple[float, float]:
        """Milliseconds of a step of the default's, the median, and of the other's.

        The other's is the default's times the median of the ratios within blocks: what slows the
        machine down for a while, slows both.
        """
        ...


@dataclass
class LocalStopwatch:
    """Steps on this machine, block by block in turn.

    Attributes:
      threads: of the runtime.
    """

    threads: int
    _default: tuple[Options, bytes] | None = None

    def times(self, source: Source, default: Options, other: Options) -> tuple[float, float]:
        """See `Stopwatch.times`."""
        if self._default is None or self._default[0] != default:
            self._default = default, _content(source, default)
        other_content = _content(source, other)
        steps = {_DEFAULT: timed(runnable(self._default[1], self.threads))}
        if other_content != self._default[1]:
            steps[_OTHER] = timed(runnable(other_content, self.threads))
        return _times(steps, _LOCAL)


@dataclass
class AgentStopwatch:
    """Steps on a device through its agent, on the agent's own data.

    Attributes:
      client: connected to the agent.
      threads: of the agent's runtime; 0 for its own setting.
      steps: of each export, in blocks in turn.
    """

    client: AgentClient
    threads: int
    steps: int = 20

    def times(self, source: Source, default: Options, other: Options) -> tuple[float, float]:
        """See `Stopwatch.times`.

        Raises:
          RemoteError: the agent cannot be reached, or its data do not fit the model.
        """
        with temporary.folder("tune") as folder:
            paths = [folder / name for name in ("default.tflite", "other.tflite")]
            steps: list[bytes] = []
            for path, options in zip(paths, (default, other), strict=True):
                checked = dataclasses.replace(options, parity_steps=1)
                written = api.export(source, path, checked, lambda text: None)
                steps.append(path.read_bytes()[: written.manifest.flatbuffer_bytes])
            names = (_DEFAULT,) if steps[0] == steps[1] else (_DEFAULT, _OTHER)
            systems = {name: self._block_of(path) for name, path in zip(names, paths, strict=False)}
            limit = Limit(-(-self.steps // _AGENT_BLOCKS))
            return _times(systems, Plan(blocks=min(self.steps, _AGENT_BLOCKS), each=limit))

    def _block_of(self, path: Path) -> RunBlock:
        """What trains one export for a block; the block's only time is the median of its steps.

        The agent takes the times, and on a GPU the loss is not read after every step.
        """
        sha256 = self.client.upload(path)

        def run(limit: Limit) -> list[float]:
            self.client.load(sha256, threads=self.threads, fresh=True)
            for event in self.client.train(
                max_steps=limit.iterations, report_every=limit.iterations
            ):
                if event.HasField("summary"):
                    return [event.summary.median_step_milliseconds]
            raise RemoteError(f"agent {self.client.address}: training ended without a summary")

        return run


def _times(systems: Mapping[str, RunBlock], plan: Plan) -> tuple[float, float]:
    found = in_turn(systems, plan)
    default_ms = median_ms(found[_DEFAULT])
    if _OTHER not in found:
        # Such as of a batch too small to be divided: what differs would be noise.
        return default_ms, default_ms
    return default_ms, default_ms * ratios.time_ratio(found[_OTHER], found[_DEFAULT])


def tune(
    source: Source,
    options: Options,
    tuning: TuningFile,
    stopwatch: Stopwatch,
    progress: Progress,
) -> Iterator[TuningFile]:
    """Measures what a tuning file does not have yet.

    Args:
      source: the model.
      options: how it would be exported, without a tuning file.
      tuning: what is known already.
      stopwatch: what takes the times.
      progress: told what is being done.

    Yields:
      The file with one more measurement, after each.

    Raises:
      ExportError: the model cannot be exported.
    """
    with ExitStack() as stack:
        stack.enter_context(options.freeze.applied(source.model))
        left = [
            (choice, name)
            for choice in workloads(source, options)
            for name in choice.names[1:]
            if not tuning.has(choice.workload, name, choice.names[0])
        ]
        for number, (choice, name) in enumerate(left, 1):
            progress(f"{number} of {len(left)}: {name} for {choice.workload} ({choice.layer})")
            other = dataclasses.replace(options, lowerings={choice.workload: name})
            default_ms, step_ms = stopwatch.times(source, options, other)
            measured = Measurement(
                problem=choice.workload,
                layer=choice.layer,
                model=source.name,
                lowering=name,
                default=choice.names[0],
                step_ms=step_ms,
                default_ms=default_ms,
                date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            )
            tuning = dataclasses.replace(tuning, measurements=(*tuning.measurements, measured))
            yield tuning


def workloads(source: Source, options: Options) -> list[Choice]:
    """What can be lowered in several ways, each once: operations, and last the step's batch."""
    step = train_graph.training_of(source, source.model, options)
    found: dict[str, Choice] = {}
    for choice in choices(step.train_graph, step.rules):
        found.setdefault(choice.workload, choice)
    workload = microbatches.workload(source.name, options.batch_size)
    of_batch = Choice(microbatches.EVERY_LAYER, workload, tuple(microbatches.NAMED))
    return [*found.values(), of_batch]


def _content(source: Source, options: Options) -> bytes:
    return train_graph.build(source, source.model, options, lambda text: None).content
