"""Opening a state: what is malformed, damaged, away or too new is told, and no password is."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tfplus.errors import DataError, RemoteError, StoreError, UnreachableError, UsageError
from tfplus.feature_server.state import address
from tfplus.feature_server.state.database import opened
from tfplus.feature_server.state.store import Store
from tfplus.feature_server.state.tables import METADATA
from tfplus.wire import certs

Asked = Callable[[Path | str, str], list[list[Any]]]

BREAK = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://u:geheim@h/d", "expected postgresql://"),
        ("sqlite:///file", "expected postgresql://"),
        ("hub/", "expected postgresql://"),
        ("postgresql://u:geheim@h:12x/d", "expected postgresql://"),
        ("postgresql://u:geheim@h", "expected postgresql://"),
        ("postgresql://u:geheim@h/d?timeout=1", "does not know timeout"),
        ("postgresql://u:geheim@h/d?sslmode=require", "expected verify-full, or disable"),
        ("postgresql://u:geheim@h/d?sslrootcert=none.pem", "none.pem: expected certificates"),
    ],
)
def test_a_malformed_url_is_told_without_its_password(url: str, words: str) -> None:
    with pytest.raises(UsageError, match="--database") as caught:
        opened(url)
    assert words in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_encrypted"),
    [
        ("postgresql://u@localhost/d", False),
        ("postgresql://u@127.0.0.1:1/d", False),
        ("postgresql:///d", False),
        ("postgresql://u@/d?unix_sock=/run/s", False),
        ("postgresql://u@db.local/d", True),
        ("postgresql://u@localhost/d?sslmode=verify-full", True),
        ("postgresql://u@db.local/d?sslmode=disable", False),
    ],
)
def test_a_connection_that_leaves_the_machine_is_encrypted(url: str, is_encrypted: bool) -> None:
    driver_url, arguments = address.encrypted(address.of(url))
    assert not {"sslmode", "sslrootcert"} & set(driver_url.query)
    assert ("unix_sock" in driver_url.query) == ("unix_sock" in url)
    assert set(arguments) == ({"ssl_context"} if is_encrypted else set())
    if is_encrypted:
        context = arguments["ssl_context"]
        assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_a_server_that_does_not_encrypt_gets_no_password(database: str) -> None:
    with pytest.raises(UnreachableError, match="cannot be reached"):
        opened(f"{database}?sslmode=verify-full")


@pytest.fixture
def encrypting(database: str, asked: Asked, tmp_path: Path) -> Iterator[str]:
    """The URL of a data base that also encrypts, with a certificate for 127.0.0.1."""
    now = datetime.datetime.now(datetime.timezone.utc)
    for name in ("ca", "other"):
        certs.create_ca(tmp_path / name, now)
    certs.issue("db", ["127.0.0.1"], tmp_path / "ca", tmp_path / "db", now)

    def set_to(value: str) -> None:
        asked(database, f"ALTER SYSTEM SET ssl = {value}")
        asked(database, "SELECT pg_reload_conf()")
        # Connections have it once the server has read it.
        assert any(asked(database, "SHOW ssl") == [[value]] for _ in range(1000))

    for file, name in (("cert.pem", "server.crt"), ("key.pem", "server.key")):
        lines = ", ".join(
            f"('{line}')" for line in (tmp_path / "db" / file).read_text().split("\n")
        )
        # Written by the server, since the key must be its own.
        asked(database, f"COPY (VALUES {lines}) TO PROGRAM 'umask 077; cat > {name}'")
    set_to("on")
    yield database
    set_to("off")


def test_a_connection_is_encrypted_with_whom_it_is_meant_for(
    encrypting: str, tmp_path: Path
) -> None:
    url = f"{encrypting}?sslmode=verify-full"
    engine = opened(f"{url}&sslrootcert={tmp_path / 'db' / 'ca.pem'}")
    with engine.connect() as connection:
        asked = sa.text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert connection.execute(asked).scalar_one() is True
    engine.dispose()
    another = url.replace("127.0.0.1", "localhost") + f"&sslrootcert={tmp_path / 'db' / 'ca.pem'}"
    for wrong in (url, f"{url}&sslrootcert={tmp_path / 'other' / 'ca.pem'}", another):
        with pytest.raises(RemoteError, match="does not prove that it is"):
            opened(wrong)


def test_migrations_come_to_the_tables(state: Path | str) -> None:
    for _ in range(2):
        engine = opened(state)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, METADATA) == []
        engine.dispose()


def test_a_state_of_a_newer_tfplus_is_left_alone(state: Path | str, asked: Asked) -> None:
    engine = opened(state)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '99'"))
    engine.dispose()
    with pytest.raises(DataError, match="is of version 99: update tfplus"):
        opened(state)
    assert asked(state, "SELECT version_num FROM alembic_version") == [["99"]]


def test_a_damaged_state_is_told(tmp_path: Path) -> None:
    (tmp_path / address.NAME).write_bytes(b"no data base" * 100)
    with pytest.raises(DataError, match="put a copy back"):
        opened(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / address.NAME).mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        opened(tmp_path)


def test_a_data_base_that_is_not_there_is_told(postgresql: str) -> None:
    away = postgresql.rpartition(":")[0] + ":1/postgres"
    with pytest.raises(UnreachableError, match="cannot be reached") as caught:
        opened(away)
    assert "tfplus:***@127.0.0.1" in str(caught.value)
    with pytest.raises(RemoteError, match='database "none" does not exist'):
        opened(postgresql.removesuffix("postgres") + "none")
    stranger = postgresql.replace("//tfplus:", "//tfplus:x")
    with pytest.raises(RemoteError, match="password authentication failed") as caught:
        opened(stranger)
    assert postgresql.split(":")[2].partition("@")[0] not in str(caught.value)


def test_connections_that_broke_are_made_anew(database: str, asked: Asked) -> None:
    store = Store(database)
    store.refused("a", "first")
    asked(database, BREAK)
    store.refused("a", "second")
    # In the middle of a change: who called is told that later it may work, and nothing is there.
    with pytest.raises(UnreachableError, match="cannot be reached"), store._writing() as (one, _):
        one.execute(sa.text("INSERT INTO refusals VALUES (1, 'a', 'third')"))
        asked(database, BREAK)
        one.execute(sa.text("INSERT INTO refusals VALUES (1, 'a', 'fourth')"))
    store.refused("a", "fifth")
    kept = asked(database, "SELECT why FROM refusals ORDER BY at_s")
    assert kept == [["first"], ["second"], ["fifth"]]
    store.close()
