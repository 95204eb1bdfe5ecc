"""Sending what a user annotated to a server, batch by batch, each of them once."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfplus.features.annotations import Annotated
from tfplus.features.sendings import Sending
from tfplus.features.uploads import Upload
from tfplus.fleet.clients.feature_client import FeatureClient, header_of
from tfplus_agent.features.kept import Kept

# What a server takes at once, with room to spare.
_MOST_SAMPLES = 1024
_MOST_BYTES = 16 * 1024 * 1024

_AS_IT_IS = Sending()

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Flushed:
    """What was sent.

    Attributes:
      samples: in all batches.
      batches: that the server acknowledged.
      sent_bytes: of messages.
      held_samples: that the server has of all devices; None where nothing was sent.
    """

    samples: int
    batches: int
    sent_bytes: int
    held_samples: int | None


def flush(
    kept: Kept,
    client: FeatureClient,
    device: str,
    *,
    change: Callable[[Rows], Rows] = lambda rows: rows,
    respond: Callable[[list[int]], list[int]] = lambda labels: labels,
    note: str = "",
    sending: Sending = _AS_IT_IS,
    now: Callable[[], float] = time.time,
) -> Flushed:
    """Sends annotated features that no server has yet.

    A batch gets its id, and its samples are noted, before it is sent: where no answer comes, the
    next flush sends the same batch again, and the server counts it once.

    Args:
      kept: an open cache.
      client: a connection to the server.
      device: name in plaintext; empty for the certificate's.
      change: what is done to features before they leave, such as noise.
      respond: what is done to labels.
      note: what these do, for the log.
      sending: what these do, for the account of privacy.
      now: seconds since 1970.

    Raises:
      RemoteError: the server cannot be reached, or refused; what it has stays noted.
    """
    uploads = kept.cache.uploads
    samples = batches = 0
    held: int | None = None
    before = client.sent_bytes
    pending = uploads.pending()
    while True:
        upload_id = pending.pop(0) if pending else _begun(kept, client.address, note, now)
        if upload_id is None:
            return Flushed(samples, batches, client.sent_bytes - before, held)
        annotated, rows = kept.cache.annotated(upload_id)
        if not annotated:
            # Corrected, evicted or dropped since, or made by other frozen layers.
            uploads.withdraw(upload_id)
            continue
        keys = [a.sample for a in annotated]
        labels = respond([a.label for a in annotated])
        header = header_of(upload_id, device, kept.made, rows.shape[1:], keys, labels, note)
        uploads.sending(keys, sending)
        held = client.flush(header, change(rows)).samples
        uploads.end(upload_id, now(), note)
        samples, batches = samples + len(annotated), batches + 1


def _begun(kept: Kept, server: str, note: str, now: Callable[[], float]) -> str | None:
    """Puts together the next batch; None where nothing is left to send."""
    graph = kept.read.manifest.features[-1]
    row_bytes = 4 * math.prod(graph.feature.shape)
    most = max(1, min(_MOST_SAMPLES, _MOST_BYTES // max(1, row_bytes)))
    part: list[Annotated] = []
    rows: Rows = np.empty(0, np.float32)
    # Damaged rows are dropped as they are found.
    while not part and kept.cache.annotations.count()["unsent"]:
        part, rows = kept.cache.annotated(unsent=True, limit=most)
    if not part:
        return None
    size, layer = rows.nbytes + 8 * len(part), graph.layer
    upload = Upload(uuid.uuid4().hex, now(), server, layer, len(part), size, None, note)
    kept.cache.uploads.begin(upload, kept.cache.annotations.maker, [a.sample for a in part])
    return upload.id
