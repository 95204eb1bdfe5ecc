"""The handwriting demo: a model of other people's digits meets a user who writes unlike them.

The user's device predicts each digit, the user corrects what is wrong, corrected features (no
image) go to a server, the server trains the head, and the device fetches what changed. Every step
is a command that a user runs; devices and server are processes on this machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfplus.demo import digits, hand
from tfplus.demo.agents import last_line
from tfplus.demo.children import Children
from tfplus.demo.digits import Samples
from tfplus.errors import ExportError
from tfplus.model_file import artifact

SPLIT_LAYER = "backbone_flatten"
_SERVER_S = 60.0


@dataclass(frozen=True)
class HandwritingOptions:
    """How the demo runs.

    Attributes:
      data: digits of many writers; None for scikit-learn's.
      rounds: flushes, each with a pull behind it.
      written: digits that the user writes in a round.
      degrees: the user's hand is turned by.
      slant: and slanted by, in columns a row.
      epochs: of the server's training for each version.
      shared_samples: other people's digits whose features the server begins with.
      seed: of weights and of who writes what.
      page: where a page to draw on is served once the rounds are over, `host:port`; None for none.
    """

    data: Path | None = None
    rounds: int = 5
    written: int = 40
    degrees: float = 25.0
    slant: float = 0.4
    epochs: int = 20
    shared_samples: int = 200
    seed: int = 0
    page: str | None = None


class HandwritingDemo:
    """One run in a folder of its own.

    Args:
      folder: empty.
      options: how.
      listen: called as `listen(what, details)`: `phase`, and `round` with its numbers.
    """

    def __init__(
        self,
        folder: Path,
        options: HandwritingOptions,
        listen: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._folder, self._options, self._listen = folder, options, listen
        self._model = folder / "device.tflite"
        self._weights = folder / "device.safetensors"
        self._address = ""
        self._number = 0

    def run(self) -> dict[str, Any]:
        """Runs everything; returns what `result.json` holds."""
        options = self._options
        self._phase("dealing out digits")
        samples = hand.load(options.data)
        rng = np.random.default_rng(options.seed)
        others, own = digits.split(samples, 0.5, rng)
        own = hand.written(own, options.degrees, options.slant)
        order = rng.permutation(len(own.y))
        written = options.rounds * options.written
        if written >= len(order):
            raise ExportError(f"{len(order)} digits of the user: expected more than {written}")
        learned, judged = own.take(order[:written]), own.take(order[written:][:2000])
        others, held_out = digits.split(others, digits.HELD_OUT, rng)
        files = {"others": others, "judged": judged, "others-judged": held_out}
        files["shared"] = others.take(rng.permutation(len(others.y))[: options.shared_samples])
        for name, part in files.items():
            self._store(name, part)
        with Children() as children:
            self._children = children
            self._make_model(samples)
            self._serve()
            self._phase("other people's features go to the server")
            self._exchange("shared", self._path("shared"))
            before = self._accuracies()
            rows = [self._round(i, learned) for i in range(options.rounds)]
            log = self._json("features", "log", *self._cache("device"))
            if options.page is not None:
                self._serve_page(options.page)
        model = artifact.read(self._model)
        return {
            "accuracy_before": before["judged"],
            "others_accuracy_before": before["others-judged"],
            "accuracy_after": rows[-1]["accuracy"],
            "others_accuracy_after": rows[-1]["others_accuracy"],
            "rounds": rows,
            "whole_bytes": rows[-1]["whole_bytes"],
            "image_bytes": int(own.x[0].nbytes),
            "feature_bytes": int(np.prod(model.manifest.features[-1].feature.shape)) * 4,
            "log": log,
            "options": {k: v for k, v in vars(options).items() if k != "data"},
        }

    def _make_model(self, samples: Samples) -> None:
        size = samples.x.shape[1]
        whole, trained = self._folder / "whole.tflite", self._folder / "whole.safetensors"
        common = (
            *("zoo:handwriting", "--input-shape", f"{size},{size},1", "--parity-steps", 1),
            *("--scale", f"1/{hand.largest(samples)}", "--seed", self._options.seed),
            *("--learning-rate", 0.05, "--momentum", 0.9),
        )
        self._phase("training a model on other people's digits")
        self._run("export", *common, "-o", whole)
        self._run(
            *("train", whole, "--data", self._path("others"), "--weights-out", trained),
            *("--epochs", 6 if size < 16 else 1, "--seed", self._options.seed),
        )
        self._phase(f"freezing it up to {SPLIT_LAYER}")
        self._run(
            *("export", *common, "--split", SPLIT_LAYER, "--trained", trained),
            *("-o", self._model, "--batch-size", 16),
        )
        (self._folder / "server.tflite").write_bytes(self._model.read_bytes())

    def _serve(self) -> None:
        self._phase("starting the server")
        log = self._folder / "server.log"
        self._children.start(
            "tfplus",
            [
                *("server", str(self._folder / "server.tflite"), "--listen", "127.0.0.1:0"),
                *("--state-dir", str(self._folder / "server"), "--every", "1", "--json"),
                *("--epochs", str(self._options.epochs)),
            ],
            log,
        )
        until = time.monotonic() + _SERVER_S
        while time.monotonic() < until:
            lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
            if lines:
                self._address = json.loads(lines[0])["address"]
                return
            time.sleep(0.1)
        raise ExportError(f"the server did not start: {last_line(log)}")

    def _serve_page(self, listen: str) -> None:
        """Until Ctrl-C, which ends the page alone: the result is still written."""
        page = self._children.start(
            "tfplus",
            [
                *("features", "page", str(self._model), *map(str, self._cache("device"))),
                *("--server", self._address, "--weights", str(self._weights)),
                *("--listen", listen, "--device", "device"),
            ],
            self._folder / "page.log",
        )
        self._phase(f"serving a page to draw on at http://{listen}/ until Ctrl-C")
        try:
            if page.wait() != 0:
                raise ExportError(f"the page ended: {last_line(self._folder / 'page.log')}")
        except KeyboardInterrupt:
            self._phase("ending")

    def _round(self, number: int, learned: Samples) -> dict[str, Any]:
        """The user writes, corrects what is wrong, and the device sends and fetches."""
        count = self._options.written
        digits_now = learned.take(np.arange(number * count, (number + 1) * count))
        path = self._store(f"round-{number + 1}", digits_now)
        weights = ("--weights", self._weights) if self._weights.exists() else ()
        answers = self._json(
            "predict", self._model, "--data", path, *weights, *self._cache("device"), "--json"
        )
        (logits,) = answers.values()
        wrong = np.flatnonzero(np.argmax(np.asarray(logits), axis=1) != digits_now.y)
        corrected: dict[str, Any] = {"computed": 0}
        if len(wrong):
            corrections = self._store(f"corrections-{number + 1}", digits_now.take(wrong))
            corrected, flushed, pulled = self._exchange("device", corrections)
        else:
            flushed, pulled = {"sent_bytes": 0}, self._pull("device")
        ended = self._json("features", "end", self._model, *self._cache("device"), "--json")
        accuracy = self._accuracies()
        row = {
            "round": number + 1,
            "corrections": len(wrong),
            "cache_hits": len(wrong) - corrected["computed"],
            "sent_bytes": flushed["sent_bytes"],
            "received_bytes": pulled["received_bytes"],
            "whole_bytes": pulled["whole_bytes"],
            "version": pulled["version"],
            "dropped": sum(ended["dropped"].values()),
            "accuracy": accuracy["judged"],
            "others_accuracy": accuracy["others-judged"],
        }
        self._listen("round", row)
        return row

    def _exchange(self, device: str, data: Path) -> tuple[Any, Any, Any]:
        """Annotates, sends, and fetches once the server has trained on it."""
        cache = self._cache(device)
        annotated = self._json("features", "annotate", self._model, "--data", data, *cache)
        server = ("--server", self._address)
        flushed = self._json("features", "flush", self._model, *cache, *server, "--device", device)
        return annotated, flushed, self._pull(device, flushed["held_samples"])

    def _pull(self, device: str, trained_on: int = 0) -> Any:
        """Fetches the newest version, once it is one of so many samples."""
        until = time.monotonic() + _SERVER_S
        from tfplus.fleet.clients.feature_client import FeatureClient

        with FeatureClient(self._address) as client:
            while client.published().trained_samples < trained_on:
                if time.monotonic() > until:
                    raise ExportError(f"the server does not train: see {self._folder}/server.log")
                time.sleep(0.05)
        return self._json(
            *("features", "pull", self._model, *self._cache(device), "--server", self._address),
            *("--weights", self._weights),
        )

    def _accuracies(self) -> dict[str, float]:
        return {
            name: self._json(
                *("evaluate", self._model, "--data", self._path(name)),
                *("--weights", self._weights, "--json"),
            )["metrics"]["accuracy"]
            for name in ("judged", "others-judged")
        }

    def _store(self, name: str, samples: Samples) -> Path:
        np.savez(self._path(name), x=samples.x, y=samples.y)
        return self._path(name)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.npz"

    def _cache(self, device: str) -> tuple[object, ...]:
        return ("--feature-cache", self._folder / f"{device}-features")

    def _phase(self, text: str) -> None:
        self._listen("phase", {"name": text})

    def _json(self, *arguments: object) -> Any:
        more = () if "--json" in arguments else ("--json",)
        return json.loads(self._run(*arguments, *more))

    def _run(self, *arguments: object) -> str:
        """Runs a command; returns what it printed."""
        self._number += 1
        log = self._folder / f"{self._number:03d}-{arguments[0]}.log"
        child = self._children.start("tfplus", [str(a) for a in arguments], log)
        if child.wait() != 0:
            raise ExportError(f"`tfplus {arguments[0]}` failed: {last_line(log)}")
        text = log.read_text()
        # What it says beside its result goes to the same file, in front of it.
        starts = [at for at in (text.find("\n{"), text.find("\n[")) if at >= 0]
        return text if text[:1] in "{[" or not starts else text[min(starts) :]
