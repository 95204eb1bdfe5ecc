from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.data import device_data
from tfplus.data.formats import csv_table
from tfplus.errors import DataError

ROWS = "t,a,label,b\n0,1,x,10\n1,2,x,20\n2,3,x,30\n3,4,y,40\n4,5,y,50\n"


def data(path: Path, text: str = ROWS, **options: Any) -> Path:
    (path / "d.csv").write_text(text)
    (path / "d.dataset.json").write_text(json.dumps(options))
    return path / "d.csv"


def loaded(path: Path, model: Any) -> tuple[Any, list[int]]:
    found = device_data.load(path, model, for_training=True)
    return found.inputs["x"][:].tolist(), found.targets["y"].tolist()


def test_without_a_window_a_row_is_a_sample(tmp_path: Path, made_for: Any) -> None:
    path = data(tmp_path, columns=["b", "a"])
    x, y = loaded(path, made_for((2,), 2))
    assert x == [[10, 1], [20, 2], [30, 3], [40, 4], [50, 5]]
    assert y == [0, 0, 0, 1, 1]
    assert json.loads((tmp_path / "d.classes.json").read_text()) == {"x": 0, "y": 1}


def test_windows_lie_in_rows_of_one_label(tmp_path: Path, made_for: Any) -> None:
    path = data(tmp_path, columns=["a"], window=2, stride=1)
    x, y = loaded(path, made_for((2, 1), 2))
    assert x == [[[1], [2]], [[2], [3]], [[4], [5]]]
    assert y == [0, 0, 1]
    assert device_data.inspect(path).samples == 3


@given(st.lists(st.integers(0, 2), min_size=1, max_size=40), st.integers(1, 6), st.integers(1, 6))
def test_windows_are_all_runs_of_their_length(labels: list[int], window: int, stride: int) -> None:
    """Against the definition: from the start of each run of a label, every `stride` rows."""
    from tfplus.data.formats.csv_windows import window_starts

    want: list[tuple[int, int]] = []
    start = 0
    for at in range(len(labels)):
        if at and labels[at] != labels[at - 1]:
            start = at
        whole = at + window <= len(labels) and len(set(labels[at : at + window])) == 1
        if (at - start) % stride == 0 and whole:
            want.append((at, labels[at]))
    found = window_starts([str(label) for label in labels], window, stride)
    assert [(at, int(label)) for at, label in found] == want


def test_windows_do_not_span_recordings_and_columns_follow_their_names(
    tmp_path: Path, made_for: Any
) -> None:
    (tmp_path / "1.csv").write_text("a,b,label\n1,10,5\n2,20,5\n3,30,5\n")
    (tmp_path / "2.csv").write_text("b,a,label\n40,4,5\n50,5,5\n")
    (tmp_path / "dataset.json").write_text('{"window": 2, "stride": 1}')
    x, y = loaded(tmp_path, made_for((2, 2), 6))
    assert x == [[[1, 10], [2, 20]], [[2, 20], [3, 30]], [[4, 40], [5, 50]]]
    assert y == [5, 5, 5]
    assert not (tmp_path / "classes.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a column 'label' in the first line, got nothing"),
        ("a,b\n1,2\n", "expected a column 'label' in the first line, got a, b"),
        ("a,label\n", "expected at least one row"),
        ("label\nx\n", "expected at least one column of values"),
        ("a,a,label\n1,2,3\n", "a name of its own for each column"),
        ("a,label\n1,x\n2\n", "line 3: expected 2 fields, got 1"),
        ("a,label\n1,x\nfive,x\n", "line 3: a: expected a finite number, got 'five'"),
        ("a,label\n1,x\nnan,x\n", "line 3: a: expected a finite number, got 'nan'"),
        ("a,label\n1,x\n1e39,x\n", "line 3: a: expected a finite number, got '1e39'"),
        ("a,label\n1,\n", "expected a label in each row"),
        ('a,label\n1,"x\n', "expected CSV"),
        ("a,label\n" + "1" * (1 << 20) + ",x\n", "expected lines of less than"),
        ("a,label\n1,\ud800\n", "expected text in UTF-8"),
    ],
)
def test_what_is_no_table_is_named_with_its_line(
    tmp_path: Path, made_for: Any, text: str, message: str
) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=rf"d\.csv: .*{message}"):
        loaded(path, made_for((1,), 1))


def test_a_table_is_capped_while_it_is_read(
    tmp_path: Path, made_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_table, "MAX_TABLE_BYTES", 60)
    path = data(tmp_path, columns=["a", "b", "t"])
    assert loaded(path, made_for((3,), 2))[1] == [0, 0, 0, 1, 1]
    monkeypatch.setattr(csv_table, "MAX_TABLE_BYTES", 59)
    with pytest.raises(DataError, match=r"d\.csv: expected at most 0 MiB of values"):
        loaded(path, made_for((3,), 2))


def test_a_window_that_no_run_holds(tmp_path: Path, made_for: Any) -> None:
    with pytest.raises(DataError, match=r"d\.csv: expected at least 4 rows of one label"):
        loaded(data(tmp_path, window=4), made_for((4, 3), 2))


def test_a_mark_of_byte_order_is_no_letter(tmp_path: Path, made_for: Any) -> None:
    path = data(tmp_path, "\ufefflabel,a\n0,1.5\n1,2\n")
    np.testing.assert_array_equal(loaded(path, made_for((1,), 2))[0], [[1.5], [2]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window: expected an integer of at least 1"),
        ({"stride": "1"}, "stride: expected an integer"),
        ({"columns": "a"}, "columns: expected a list"),
        ({"columns": ["z"]}, "expected a column 'z'"),
        ({"lable": "y"}, "no option 'lable' here: expected columns, label, stride, window"),
    ],
)
def test_options_that_are_none(
    tmp_path: Path, made_for: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        loaded(data(tmp_path, **options), made_for((1,), 2))
