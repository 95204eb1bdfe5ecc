"""`--cached`, `--split`: a source whose step takes what its frozen layers make of samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras

from tfplus_export.decoupling import backbone
from tfplus_export.sources import splitting
from tfplus_export.sources.source import Source


def of(source: Source) -> Source:
    """The branches of a source alone, with the shared layers beside them.

    Args:
      source: a model with branches.

    Raises:
      UsageError: it has none, or they read more than one tensor.
    """
    found = backbone.halves(source.model)
    whole = source.rebuild

    def rebuild(classes: Sequence[int]) -> keras.Model:
        if whole is None:
            raise TypeError("a source without sub-models was asked for one")
        return backbone.halves(whole(classes)).branches

    return dataclasses.replace(
        source,
        model=found.branches,
        shared=(found.shared,),
        rebuild=None if whole is None else rebuild,
    )


def split(source: Source, layers: Sequence[str]) -> Source:
    """The head of a source alone, with the frozen pieces in front of it beside it.

    Args:
      source: a model of one input.
      layers: behind which it is cut, from the input on.

    Raises:
      UsageError: it cannot be cut there.
    """
    found = splitting.split(source.model, layers)
    return dataclasses.replace(source, model=found.head, shared=found.frozen, rebuild=None)
