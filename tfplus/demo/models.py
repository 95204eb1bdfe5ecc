"""Where the demo's models come from: one whole model, and a sub-model of it for each device.

`branched` exports a network that has a branch a class from the start. `decoupled` trains a CNN that
has none, cuts it by class, and exports what the plan holds. Both run the commands that a user runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfplus.decoupling import plan_folder
from tfplus.decoupling.plan import Cost, Plan
from tfplus.demo.agents import last_line
from tfplus.demo.children import Children
from tfplus.demo.options import CENTRAL, DemoOptions
from tfplus.errors import ExportError, MissingExtraError
from tfplus.model_file import artifact

# A CNN with nothing of a class in it, whose last two convolutions are cut.
_CNN = ("zoo:small-cnn", "--input-shape", "8,8,1", "--scale", "1/16")
_CUT_LAYERS = 2
_CNN_LEARNING_RATE = 0.05
PLAN_NAME = "plan"


@dataclass(frozen=True)
class Models:
    """What was exported.

    Attributes:
      paths: `CENTRAL` and each device → its file.
      facts: what `result.json` has of it, beside what every run has.
    """

    paths: Mapping[str, Path]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Workshop:
    """The folder of a run, and what makes files in it.

    Attributes:
      folder: models go into `models/` of it.
      children: ends what was started.
      phase: told what begins.
    """

    folder: Path
    children: Children
    phase: Callable[[str], None]

    def tfplus(self, what: str, *arguments: object) -> None:
        """Runs a command of tfplus, and waits for its end.

        Args:
          what: it does, for the error and the log.
          *arguments: of the command.

        Raises:
          ExportError: it failed.
          MissingExtraError: a package that it needs is not installed.
        """
        log = self.folder / "models" / f"{what.replace(' ', '-')}.log"
        child = self.children.start("tfplus", [str(a) for a in arguments], log)
        exit_code = child.wait()
        if exit_code == MissingExtraError.exit_code:
            raise MissingExtraError.of("tfplus demo", "demo")
        if exit_code != 0:
            raise ExportError(f"the {what} failed: {last_line(log)}")


def branched(shop: Workshop, options: DemoOptions) -> Models:
    """Exports `zoo:digits`, whose branches were made by hand, and a sub-model for each device."""
    shop.phase("exporting the model and four sub-models")
    return Models(_export(shop, options, "zoo:digits"))


def decoupled(shop: Workshop, options: DemoOptions, data: Mapping[str, Path]) -> Models:
    """Trains a CNN, decouples it, and exports it and a sub-model for each device.

    Args:
      shop: where, and by what.
      options: of the run.
      data: `desk` to train and to decouple with, `held-out` to judge by.
    """
    folder = shop.folder / "models"
    cnn, weights, plan = folder / "cnn.tflite", folder / "cnn.safetensors", shop.folder / PLAN_NAME
    shop.phase("training a CNN on the desk's own digits")
    shop.tfplus(
        "export of the CNN", "export", *_CNN, "-o", cnn, "--parity-steps", 1,
        *_step(options, _CNN_LEARNING_RATE),
    )  # fmt: skip
    shop.tfplus(
        "training of the CNN", "train", cnn, "--data", data["desk"], "--seed", options.seed,
        "--epochs", options.pre_training_epochs, "--weights-out", weights,
    )  # fmt: skip
    shop.phase("decoupling it by class")
    shop.tfplus(
        "decoupling", "decouple", *_CNN, "--weights", weights, "--data", data["desk"],
        "--eval-data", data["held-out"], "--layers", _CUT_LAYERS, "--seed", options.seed,
        "--fine-tune-epochs", options.fine_tune_epochs, "-o", plan,
        "--report", shop.folder / "plan.html",
    )  # fmt: skip
    shop.phase("exporting the decoupled model and four sub-models")
    # The exports of five models are most of the demo's time.
    more = ("--parity-steps", 2, *(["--cached"] if options.is_cached else []))
    paths = _export(shop, options, str(plan), *more)
    read = plan_folder.read(plan)
    return Models(paths, {"decoupled": _facts(read, paths, cnn, options)})


def _export(shop: Workshop, options: DemoOptions, source: str, *more: object) -> dict[str, Path]:
    folder = shop.folder / "models"
    whole = folder / "digits.tflite"
    subs = [f"--sub-model={name}={','.join(map(str, c))}" for name, c in options.branches.items()]
    shop.tfplus(
        "export", "export", source, "-o", whole, *_step(options, options.rate), *subs, *more
    )
    return {
        CENTRAL: whole,
        **{name: folder / f"digits-{name}.tflite" for name in options.branches},
    }


def _step(options: DemoOptions, rate: float) -> list[object]:
    return [
        *("--batch-size", options.batch_size, "--seed", options.seed),
        *("--learning-rate", rate, "--momentum", options.momentum),
    ]


def _facts(
    plan: Plan, paths: Mapping[str, Path], cnn: Path, options: DemoOptions
) -> dict[str, Any]:
    """Accuracy by stage, and what a training step of a sample costs each device."""
    whole_flops = _step_flops(cnn)
    devices = []
    for name, classes in options.branches.items():
        flops = _step_flops(paths[name])
        # The branches alone, as where the activations of frozen shared layers are kept; with the
        # gradient of their input, which is not computed then: an upper bound.
        branches = _sum([plan.costs.branches[c] for c in classes])
        devices.append(
            {
                "name": name,
                "step_flops": flops,
                "saving": whole_flops / flops,
                "branches_step_flops": branches,
                "branches_saving": None if not branches else whole_flops / branches,
            }
        )
    accuracy = plan.accuracy
    return {
        "plan": PLAN_NAME,
        "plan_id": plan.plan_id,
        "accuracy": {
            "before": accuracy.before,
            "pruned": accuracy.pruned,
            "recalibrated": accuracy.recalibrated,
            "fine_tuned": accuracy.fine_tuned,
        },
        "step_flops": whole_flops,
        "features_kept": options.is_cached,
        "devices": devices,
    }


def _step_flops(path: Path) -> float:
    """Products of a training step for one sample, as counted in the exported graph."""
    manifest = artifact.read(path).manifest
    return manifest.flops_per_step / manifest.batch_size


def _sum(costs: list[Cost]) -> int | None:
    known = [c.step_flops for c in costs if c.step_flops is not None]
    return sum(known) if len(known) == len(costs) else None
