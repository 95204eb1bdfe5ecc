"""Which model goes to which agent, and whether they can be averaged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfplus.errors import UsageError

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,62})=(.+)")


def check_files(models: Sequence[str], recompose: Path | None) -> None:
    """Checks that files are models with slices in common, and are parts of the global one.

    Raises:
      ArtifactError: one is no exported model.
      TensorError: they cannot be averaged.
    """
    # Before any agent is asked for anything: a typing error should cost no round.
    from tfplus.fleet.common_slices import check_common_slices
    from tfplus.model_file import artifact

    paths = [Path(named[2] if (named := _NAMED.fullmatch(text)) else text) for text in models]
    check_common_slices([artifact.read(path) for path in paths])
    if recompose is not None:
        whole = artifact.read(recompose)
        for path in paths:
            check_common_slices([whole, artifact.read(path)], at_least_one=True)


def models_by_name(models: Sequence[str], names: Sequence[str]) -> Mapping[str, Path]:
    """Agent → its file, of `FILE` for all and `NAME=FILE` for one.

    Raises:
      UsageError: an agent has none, or a name is no agent's.
    """
    default: Path | None = None
    chosen: dict[str, Path] = {}
    for text in models:
        named = _NAMED.fullmatch(text)
        if named is None:
            if default is not None:
                raise UsageError(f"--model {default} and --model {text}: one may stand for all")
            default = Path(text)
            continue
        if named[1] not in names:
            raise UsageError(f"--model {text}: no agent is called '{named[1]}': {sorted(names)}")
        chosen[named[1]] = Path(named[2])
    for name in names:
        if (model := chosen.get(name, default)) is None:
            raise UsageError(f"agent '{name}' has no model: give --model {name}=FILE")
        chosen[name] = model
    return chosen
