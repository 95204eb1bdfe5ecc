"""Fetching what changed: weights of the head whose hash differs, or the whole model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfplus.fleet.clients.feature_client import FeatureClient
from tfplus.model_file import artifact, weights_file
from tfplus.tensors.slices import Tensor, check_against
from tfplus_agent.features import kept as kept_features


@dataclass(frozen=True)
class Pulled:
    """What came.

    Attributes:
      version: of the server.
      changed: names of tensors that came.
      received_bytes: of messages.
      whole_bytes: of the model with its weights, which an update without hashes would fetch.
      has_new_model: whether the whole file came, since the frozen layers are others.
      carried: annotated samples that have features of the new file: computed on from an earlier
        layer, or kept since that file was here before.
      lost: annotated samples whose features cannot be made without the sample.
    """

    version: int
    changed: tuple[str, ...]
    received_bytes: int
    whole_bytes: int
    has_new_model: bool
    carried: int = 0
    lost: int = 0


def pull(client: FeatureClient, model: Path, weights: Path, folder: Path) -> Pulled:
    """Brings model and weights to what the server publishes.

    Args:
      client: a connection to the server.
      model: the file; replaced where the server has another, written where there is none.
      weights: a .safetensors, brought up to date.
      folder: of the feature cache.

    Raises:
      RemoteError: the server cannot be reached, or refused.
      TensorError: what came is not the model's.
    """
    before = client.received_bytes
    published = client.published()
    old = artifact.read(model) if model.is_file() else None
    is_new = old is None or old.sha256 != published.model_sha256
    carried, lost = 0, 0
    if is_new:
        aside = model.with_name(f"{model.name}.new")
        try:
            client.download(published, aside)
            if old is not None and old.manifest.features:
                carried, lost = _carry_over(model, aside, folder)
            # Behind what is kept: who is killed before does all of it again.
            aside.replace(model)
        finally:
            aside.unlink(missing_ok=True)
    read = artifact.read(model)
    expected = read.manifest.expected(weights_only=True)
    initial = artifact.initial_values(read)
    held: dict[str, Tensor] = {name: initial[name] for name in expected}
    if weights.is_file():
        stored = weights_file.read(weights)
        fits = {n: t for n, t in stored.items() if expected.get(n) == (t.shape, t.dtype.name)}
        held |= fits
    values, changed = client.pull(published.version, held)
    check_against(values, expected)
    # With the optimizer's state, as a training leaves it: the old one is of other weights.
    weights_file.write(weights, {**initial, **values})
    whole = published.model_bytes + sum(value.nbytes for value in values.values())
    received = client.received_bytes - before
    return Pulled(published.version, tuple(changed), received, whole, is_new, carried, lost)


def _carry_over(old: Path, new: Path, folder: Path) -> tuple[int, int]:
    """Gives labels to the new model's features, and makes those that can be made.

    Returns:
      How many samples have features and label now, and how many cannot: their features behind the
      old model's last layer do not lead to the new one's.
    """
    with kept_features.opened(old, folder) as kept:
        annotated, _ = kept.cache.annotated()
        before = kept.features.makers
    with kept_features.opened(new, folder) as kept:
        kept.features.carry_over()
        # What the user said last was said of the old model's features.
        keys, labels = [a.sample for a in annotated], [a.label for a in annotated]
        carried = kept.cache.annotate(keys, labels)
        # Of another backbone. Behind a later layer of this one they are no older than the model,
        # and stay: the freeze point may come back.
        gone = [maker for maker in before if maker not in kept.features.makers]
        kept.cache.evict(has_ended=False, makers=gone)
        return carried, len(annotated) - carried
