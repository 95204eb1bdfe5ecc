"""What the server keeps: batches, samples, versions with their weights, and refusals.

A batch is acknowledged once its transaction is on disk. A sample of a device is there once: one
that comes again, with a corrected label, replaces what was there.

Several processes may have the state open: of one machine where it is a folder (SQLite), of several
where it is a data base of PostgreSQL. Every change is one transaction that first takes the next
number of arrival, from a row that it then holds: changes happen one after the other, what one
decides still holds when it commits, and numbers grow as commits do.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, RowMapping, func, insert, select, update

from tfplus.feature_server.state import database, locks
from tfplus.feature_server.state.records import FeatureBatch, Key, Sample, Version
from tfplus.feature_server.state.tables import (
    ARRIVALS,
    BATCHES,
    REFUSALS,
    SAMPLES,
    VERSIONS,
    WEIGHTS,
)


class Store:
    """The state of one server, or of several; any thread may use it.

    Args:
      state: a folder, or the URL of a data base of PostgreSQL.
      now: seconds since 1970.

    Raises:
      DataError: it is damaged, or of a newer tfplus.
      RemoteError: the data base cannot be reached, or does not let this process in.
      StoreError: it cannot be written.
      UsageError: the URL is malformed.
    """

    def __init__(self, state: Path | str, now: Callable[[], float] = time.time) -> None:
        self._now, self._engine = now, database.opened(state)
        # Those who write from this process queue here, and the first of them in the data base.
        self._first = threading.Lock()
        # Both have the same statement, each in its own module; the other's is not needed.
        name = self._engine.dialect.name
        self._insert: Any = importlib.import_module(f"sqlalchemy.dialects.{name}").insert

    def has(self, device: str, batch_id: str) -> bool:
        """Whether a batch is there."""
        with self._reading() as connection:
            return _has(connection, device, batch_id)

    def add(self, batch: FeatureBatch) -> bool:
        """Keeps a batch, on disk when this returns; one that is there already changes nothing.

        Returns:
          Whether it was there already.
        """
        with self._writing() as (connection, arrival):
            if _has(connection, batch.device, batch.id):
                return True
            row = {
                "device": batch.device,
                "id": batch.id,
                "received_s": self._now(),
                "samples": len(batch.rows),
                "size_bytes": batch.rows.nbytes,
                "note": batch.note,
            }
            connection.execute(insert(BATCHES), row)
            keys = [(batch.device, key) for key in batch.samples]
            added = self._insert(SAMPLES)
            newer = {
                name: added.excluded[name] for name in ("hyper", "label", "features", "arrival")
            }
            key = list(SAMPLES.primary_key)
            statement = added.on_conflict_do_update(index_elements=key, set_=newer)
            rows = _rows(batch.maker, batch.hyper, arrival, keys, batch.labels, batch.rows)
            connection.execute(statement.returning(SAMPLES.c.arrival), rows).all()
        return False

    def count(self, maker: str, hyper: str) -> int:
        """How many samples there are of a maker, under its hyper-parameters."""
        with self._reading() as connection:
            asked = select(func.count()).where(_made(maker, hyper))
            return connection.execute(asked).scalar_one()

    def received(self, maker: str, hyper: str, model_sha256: str) -> int:
        """How many samples of it arrived since those of the model's newest version were read."""
        taken = select(func.coalesce(func.max(VERSIONS.c.taken), 0)).where(
            VERSIONS.c.model_sha256 == model_sha256
        )
        arrived = SAMPLES.c.arrival > taken.scalar_subquery()
        with self._reading() as connection:
            asked = select(func.count()).where(_made(maker, hyper), arrived)
            return connection.execute(asked).scalar_one()

    def mark(self) -> int:
        """A number of arrival: every sample of at most this one is there, and none will come."""
        with self._writing() as (_, arrival):
            return arrival

    def samples(
        self, maker: str, hyper: str, shape: tuple[int, ...]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Features [n, ...] and labels [n], in an order that does not depend on their coming."""
        # Sorted here: data bases sort text in orders of their own.
        found = sorted(self.keyed(maker, hyper, shape).items())
        rows = np.empty((len(found), *shape), np.float32)
        for place, (_, sample) in enumerate(found):
            rows[place] = sample.row
        return rows, np.asarray([sample.label for _, sample in found], np.int64)

    def keyed(self, maker: str, hyper: str, shape: tuple[int, ...]) -> dict[Key, Sample]:
        """Every sample of a maker, whose features have a shape."""
        c = SAMPLES.c
        asked = select(c.device, c.sample, c.arrival, c.label, c.features)
        with self._reading() as connection:
            found = connection.execute(asked.where(_made(maker, hyper))).all()
        return {
            (device, key): Sample(at, label, np.frombuffer(raw, "<f4").reshape(shape))
            for device, key, at, label, raw in found
        }

    def carry(self, maker: str, hyper: str, samples: Mapping[Key, Sample]) -> int:
        """Keeps features that were computed from those of another layer; returns how many.

        They count as received when those were. What is there and came no earlier stays.
        """
        if not samples:
            return 0
        added = self._insert(SAMPLES)
        names = "hyper", "label", "features", "arrival"
        statement = added.on_conflict_do_update(
            index_elements=list(SAMPLES.primary_key),
            set_={name: added.excluded[name] for name in names},
            where=SAMPLES.c.arrival < added.excluded.arrival,
        )
        rows = [
            row
            for key, sample in samples.items()
            for row in _rows(maker, hyper, sample.arrival, [key], [sample.label], [sample.row])
        ]
        with self._writing() as (connection, _):
            return len(connection.execute(statement.returning(SAMPLES.c.arrival), rows).all())

    def newest(self, *models: str) -> Version | None:
        """The version that was published last: of all, or of files of these hashes."""
        asked = select(VERSIONS).order_by(VERSIONS.c.number.desc()).limit(1)
        if models:
            asked = asked.where(VERSIONS.c.model_sha256.in_(models))
        with self._reading() as connection:
            return _version(connection.execute(asked).mappings().first())

    def version(self, number: int) -> Version | None:
        """The version of a number."""
        with self._reading() as connection:
            asked = select(VERSIONS).where(VERSIONS.c.number == number)
            return _version(connection.execute(asked).mappings().first())

    def weights(self, number: int) -> bytes | None:
        """What was published as the weights of a version; None where there is no such version."""
        with self._reading() as connection:
            asked = select(WEIGHTS.c.content).where(WEIGHTS.c.number == number)
            return connection.execute(asked).scalar_one_or_none()

    def publish(self, version: Version, weights: bytes) -> bool:
        """Adds a version with its weights, if it is the next one.

        Returns:
          Whether it was; where another process published one of that number before, nothing
          changes.
        """
        with self._writing() as (connection, _):
            asked = select(func.coalesce(func.max(VERSIONS.c.number), 0))
            if version.number != connection.execute(asked).scalar_one() + 1:
                return False
            connection.execute(insert(VERSIONS), vars(version))
            row = {"number": version.number, "content": weights}
            connection.execute(insert(WEIGHTS), row)
        return True

    def refused(self, device: str, why: str) -> None:
        """Notes whose call was refused."""
        # PostgreSQL's text holds every character but this one, which comes from outside.
        texts = {"device": device.replace("\0", "\ufffd"), "why": why.replace("\0", "\ufffd")}
        with self._writing() as (connection, _):
            connection.execute(insert(REFUSALS), {"at_s": self._now(), **texts})

    @contextmanager
    def training(self) -> Generator[bool]:
        """Whether this process is the one that trains meanwhile, of all who share the state."""
        with database.errors_of(self._engine.url), locks.tried(self._engine, "training") as is_mine:
            yield is_mine

    def close(self) -> None:
        """Closes the data base; nothing may follow."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Generator[Connection]:
        with database.errors_of(self._engine.url), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Generator[tuple[Connection, int]]:
        """One transaction, and its number of arrival."""
        last = ARRIVALS.c.last
        with (
            self._first,
            database.errors_of(self._engine.url),
            self._engine.begin() as connection,
        ):
            taken = update(ARRIVALS).values(last=last + 1).returning(last)
            yield connection, connection.execute(taken).scalar_one()


def _has(connection: Connection, device: str, batch_id: str) -> bool:
    asked = select(BATCHES.c.id).where(BATCHES.c.device == device, BATCHES.c.id == batch_id)
    return connection.execute(asked).first() is not None


def _made(maker: str, hyper: str) -> ColumnElement[bool]:
    return (SAMPLES.c.maker == maker) & (SAMPLES.c.hyper == hyper)


def _rows(
    maker: str,
    hyper: str,
    arrival: int,
    keys: Iterable[Key],
    labels: Iterable[int],
    rows: Iterable[npt.NDArray[np.float32]],
) -> list[dict[str, object]]:
    made = {"maker": maker, "hyper": hyper, "arrival": arrival}
    return [
        {
            **made,
            "device": device,
            "sample": key,
            "label": int(label),
            "features": row.astype("<f4").tobytes(),
        }
        for (device, key), label, row in zip(keys, labels, rows, strict=True)
    ]


def _version(row: RowMapping | None) -> Version | None:
    return None if row is None else Version(**{str(name): value for name, value in row.items()})
