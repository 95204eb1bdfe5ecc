"""Weights on their way into the loaded model: on disk as they come, in use when all is checked."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from tfplus.errors import BusyError, TensorError
from tfplus.model_file.state_ranges import check_ranges
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Specs, Tensors, check_against, check_specs, specs_of
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

    def append(self, piece: bytes | memoryview) -> None:
        """Takes the next bytes of what is expected; at most all of them.

        Raises:
          StorageError: the disk is full.
        """
        self._draft.append(piece)

    def write(self, tensors: Tensors) -> None:
        """Takes whole variables.

        Raises:
          TensorError: they are not the model's.
          StorageError: the disk is full.
        """
        self.expect(specs_of(tensors))
        self._draft.write(tensors)

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
        expected = session.manifest.expected()
        came = SliceSet(self._draft.tensors(hashes), hashes)
        check_against(came, {n: e for n, e in expected.items() if n in came})
        check_ranges(came, session.manifest.variables)
        rest = session.read([n for n in expected if n not in came]).tensors
        if rest.damaged():
            # The file was damaged behind our back.
            rest = session.values().only(rest)
        self._draft.write(rest)
        session.adopt(self._draft, came.joined(rest).hashes(), steps)
