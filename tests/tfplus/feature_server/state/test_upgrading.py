"""A folder that an earlier tfplus wrote is gone on with: samples, versions, weights."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from tfplus.errors import DataError
from tfplus.feature_server.state import upgrading
from tfplus.feature_server.state.address import NAME
from tfplus.feature_server.state.records import Version
from tfplus.feature_server.state.store import Store

# As the first and the second version made them.
FIRST = """
CREATE TABLE batches (
  device TEXT NOT NULL, id TEXT NOT NULL, received_s REAL NOT NULL, samples INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (device, id));
CREATE TABLE samples (
  maker TEXT NOT NULL, device TEXT NOT NULL, sample BLOB NOT NULL, hyper TEXT NOT NULL,
  label INTEGER NOT NULL, features BLOB NOT NULL, received_s REAL NOT NULL,
  PRIMARY KEY (maker, device, sample));
CREATE TABLE versions (
  number INTEGER PRIMARY KEY, model_sha256 TEXT NOT NULL, published_s REAL NOT NULL,
  taken_s REAL NOT NULL, samples INTEGER NOT NULL, loss REAL, weights TEXT NOT NULL);
CREATE TABLE refusals (at_s REAL NOT NULL, device TEXT NOT NULL, why TEXT NOT NULL);
"""
REASONS = "ALTER TABLE versions ADD COLUMN why TEXT NOT NULL DEFAULT '';"
NOW_S = 1.7e9
TABLES = f"""
INSERT INTO batches VALUES ('pi', 'b', {NOW_S}, 1, 4, '');
INSERT INTO samples VALUES ('m', 'pi', x'01', 'h', 3, x'00000040', {NOW_S});
INSERT INTO samples VALUES ('m', 'pi', x'02', 'h', 4, x'00000041', {NOW_S + 2});
INSERT INTO samples VALUES ('m', 'pi', x'03', 'h', 5, x'00000042', {NOW_S + 1.5});
INSERT INTO versions (number, model_sha256, published_s, taken_s, samples, loss, weights)
  VALUES (1, 'f', {NOW_S}, {NOW_S - 1}, 0, NULL, 'one.w'),
         (2, 'f', {NOW_S + 5}, {NOW_S + 1.5}, 1, 0.25, 'two.w');
"""  # noqa: S608


@pytest.fixture(params=[1, 2])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    db = sqlite3.connect(tmp_path / NAME)
    db.executescript(FIRST + (REASONS if request.param == 2 else "") + TABLES)
    db.execute(f"PRAGMA user_version={request.param}")
    db.close()
    for name in ("one", "two"):
        (tmp_path / f"{name}.w").write_text(name)
    return tmp_path


def test_a_state_of_an_earlier_version_is_gone_on_with(folder: Path) -> None:
    for _ in range(2):
        store = Store(folder)
        assert [store.weights(number) for number in (1, 2)] == [b"one", b"two"]
        newest = store.newest()
        assert newest is not None
        assert newest == Version(2, "f", NOW_S + 5, newest.taken, 1, 0.25, "")
        # What came at the moment that the training began, or behind it.
        assert store.received("m", "h", "f") == 2
        rows, labels = store.samples("m", "h", (1,))
        assert rows.tolist() == [[2.0], [8.0], [32.0]]
        assert labels.tolist() == [3, 4, 5]
        assert store.has("pi", "b")
        assert newest.taken < store.keyed("m", "h", (1,))["pi", b"\2"].arrival < store.mark()
        store.close()


def test_weights_that_are_gone_are_told_and_nothing_changes(folder: Path) -> None:
    (folder / "two.w").unlink()
    before = sqlite3.connect(folder / NAME)
    tables = list(before.iterdump())
    before.close()
    with pytest.raises(DataError, match=r"two\.w: no such file; expected the weights of version 2"):
        Store(folder)
    after = sqlite3.connect(folder / NAME)
    assert list(after.iterdump()) == tables
    after.close()


def test_what_is_up_to_date_needs_no_alembic(tmp_path: Path) -> None:
    Store(tmp_path).close()
    code = (
        "import sys; from pathlib import Path; from tfplus.feature_server.state.store import Store;"
        "Store(Path(sys.argv[1])).close();"
        "late = {'alembic', 'mako', 'pg8000', 'sqlalchemy.dialects.postgresql'};"
        "assert not late & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)


def test_the_newest_version_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(upgrading.__file__).with_name("migrations")))
    assert ScriptDirectory.from_config(config).get_current_head() == upgrading.HEAD
