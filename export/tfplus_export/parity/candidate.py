"""The exported file under LiteRT, a step at a time from states that TensorFlow was in."""

from __future__ import annotations

from collections.abc import Mapping

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfplus_export.parity.errors.step_error import State, loss_error, update_error
from tfplus_export.parity.samples.draw import Batch


class Candidate:
    """The exported file under LiteRT.

    Args:
      content: the flatbuffer.
      xnnpack: whether it runs with XNNPACK.
    """

    def __init__(self, content: bytes, *, xnnpack: bool) -> None:
        self.xnnpack = xnnpack
        self._content = content
        self.loss_errors: list[float] = []
        self.update_errors: dict[str, list[float]] = {}
        self.open()

    def open(self) -> None:
        """Gets ready to run, at the start and after `close`."""
        resolver = (
            OpResolverType.AUTO
            if self.xnnpack
            else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        self._interpreter = Interpreter(
            model_content=self._content, num_threads=2, experimental_op_resolver_type=resolver
        )
        self.infer = self._interpreter.get_signature_runner("infer")
        self._restore = self._interpreter.get_signature_runner("restore")
        self._train = self._interpreter.get_signature_runner("train")
        self._save = self._interpreter.get_signature_runner("save")

    def close(self) -> None:
        """Frees what running took; what was noted stays."""
        del self._interpreter, self.infer, self._restore, self._train, self._save

    def step(
        self,
        batch: Batch,
        before: State,
        after: State,
        rounding: Mapping[str, float],
        loss: float,
    ) -> None:
        """As `errors`, which it notes, and that of the loss."""
        got, errors = self.errors(batch, before, after, rounding)
        self.loss_errors.append(loss_error(loss, got))
        for name, error in errors.items():
            self.update_errors.setdefault(name, []).append(error)

    def errors(
        self, batch: Batch, before: State, after: State, rounding: Mapping[str, float]
    ) -> tuple[float, dict[str, float]]:
        """Takes one step from TensorFlow's state.

        Args:
          batch: as `train` takes it.
          before: every variable before the step.
          after: where TensorFlow's step led.
          rounding: of the variables to compare, see `layer_rounding`.

        Returns:
          The loss; and name → error of its update.
        """
        self._restore(**before)
        loss = float(self._train(**batch)["loss"][0])
        state = self._save()
        return loss, {
            name: update_error(before[name], after[name], state[name], rounding_of_element)
            for name, rounding_of_element in rounding.items()
        }
