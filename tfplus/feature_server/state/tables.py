"""The tables of the server's state, as they are today; `migrations` has how they came to be."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

METADATA = MetaData()

# One row. Every change takes the next number first, and so waits for the change before it to be
# committed: numbers grow as commits do, whatever the clocks of several machines show.
ARRIVALS = Table("arrivals", METADATA, Column("last", BigInteger, nullable=False))

BATCHES = Table(
    "batches",
    METADATA,
    Column("device", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("received_s", Double, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
)

SAMPLES = Table(
    "samples",
    METADATA,
    Column("maker", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("sample", LargeBinary, primary_key=True),
    Column("hyper", Text, nullable=False),
    Column("label", BigInteger, nullable=False),
    Column("features", LargeBinary, nullable=False),
    Column("arrival", BigInteger, nullable=False),
)

VERSIONS = Table(
    "versions",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("model_sha256", Text, nullable=False),
    Column("published_s", Double, nullable=False),
    Column("taken", BigInteger, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("loss", Double),
    Column("why", Text, nullable=False),
)

# Of a version, as .safetensors; apart from it, so that who reads versions reads no weights.
WEIGHTS = Table(
    "weights",
    METADATA,
    Column("number", Integer, ForeignKey("versions.number"), primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)

REFUSALS = Table(
    "refusals",
    METADATA,
    Column("at_s", Double, nullable=False),
    Column("device", Text, nullable=False),
    Column("why", Text, nullable=False),
)
