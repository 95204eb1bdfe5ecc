"""Weights on their way into the loaded model: on disk as they come, in use when all is checked."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from tfplus.errors import BusyError, TensorError
from tfplus.model_file.state_ranges import check_ranges, limited
from tfplus.tensors.finite import FiniteWatch
from tfplus.tensors.hashing import raw_bytes
from tfplus.tensors.slices import Specs, Tensors, check_specs, not_finite, specs_of
from tfplus_agent.device.session import Session


class IncomingWeights:
    """Some or all variables of a model, written to a draft of its next checkpoint as they come.

    A context manager, at whose end nothing is left of weights that were not set. Nobody waits for
    it: the device is needed only for `set`.

    Args:
      session: of the model.

    Raises:
      StorageError: the disk is full.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._draft = session.draft()
        self._values = FiniteWatch({})

    def __enter__(self) -> IncomingWeights:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._draft.__exit__(kind, error, trace)

    def expect(self, specs: Specs) -> None:
        """Says which variables come, in which order.

        Args:
          specs: name → (shape, dtype).

        Raises:
          TensorError: they are not the model's.
        """
        if not specs:
            raise TensorError("no tensors came: expected at least one of the model's")
        expected = self._session.manifest.expected()
        check_specs(specs, {n: e for n, e in expected.items() if n in specs})
        self._draft.expect(specs)
        self._values = FiniteWatch(specs)

    def append(self, piece: bytes | memoryview) -> None:
        """Takes the next bytes of what is expected; at most all of them.

        Raises:
          StorageError: the disk is full.
        """
        self._draft.append(piece)
        self._values.take(piece)

    def write(self, tensors: Tensors) -> None:
        """Takes whole variables.

        Raises:
          TensorError: they are not the model's.
          StorageError: the disk is full.
        """
        self.expect(specs_of(tensors))
        for tensor in tensors.values():
            self.append(raw_bytes(tensor))

    def set(self, loaded: Session, hashes: Mapping[str, bytes], steps: int | None) -> None:
        """Sets what came; the rest keeps its value. On disk when this returns.

        Args:
          loaded: the session that is loaded now.
          hashes: name → SHA-256 of each variable that came, which its bytes were checked against.
          steps: that stand behind them; None for as many as before.

        Raises:
          BusyError: another model was loaded while they came.
          TensorError: NaN, or values out of range (`tfplus.model_file.state_ranges`).
          StorageError: the disk is full; nothing was set.
        """
        session = self._session
        if loaded is not session:
            raise BusyError("another model was loaded while its weights came: send them again")
        if self._values.not_finite:
            raise not_finite(self._values.not_finite[0])
        variables = session.manifest.variables
        looked_at = [name for name in limited(variables) if name in hashes]
        check_ranges(self._draft.tensors(looked_at), variables)
        rest = session.read([n for n in session.manifest.expected() if n not in hashes]).tensors
        if rest.damaged():
            # The file was damaged behind our back.
            rest = session.values().only(rest)
        self._draft.write(rest)
        session.adopt(self._draft, {**hashes, **rest.hashes()}, steps)
