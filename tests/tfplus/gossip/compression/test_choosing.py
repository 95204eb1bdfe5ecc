"""Which codec a link takes: by arithmetic on made-up speeds."""

from __future__ import annotations

import pytest

from tfplus.errors import UsageError
from tfplus.gossip.compression.choosing import Always, BySpeed, checked, choice
from tfplus.gossip.compression.registry import LINK_CODECS

VALUES = 1_000_000


def chosen(bytes_per_s: float, period_s: float, share: float = 0.25) -> str:
    """Of the second message, on a link of that speed."""
    by_speed = BySpeed(share)
    assert by_speed.choose(VALUES, 100.0).name == "float32"
    by_speed.took(4 * VALUES, 4 * VALUES / bytes_per_s)
    return by_speed.choose(VALUES, 100.0 + period_s).name


# A quarter of a round of 8 s is 2 s: 4 MB fit at 2 MB/s, 2 MB at 1 MB/s.
@pytest.mark.parametrize(
    ("bytes_per_s", "codec"),
    [
        (2.001e6, "float32"),
        (1.999e6, "float16"),
        (1.001e6, "float16"),
        (0.999e6, "int8"),
        (1.0, "int8"),
    ],
)
def test_what_fits_in_the_share_of_a_round_and_loses_least(bytes_per_s: float, codec: str) -> None:
    assert chosen(bytes_per_s, 8.0) == codec


def test_long_rounds_and_large_shares_make_room() -> None:
    assert chosen(0.5e6, 8.0) == "int8"
    assert chosen(0.5e6, 33.0) == "float32"
    assert chosen(0.5e6, 8.1, share=1.0) == "float32"


def test_the_newest_speed_counts_half() -> None:
    link = BySpeed(1.0)
    link.choose(VALUES, 0.0)
    link.took(1_000, 1.0)
    link.took(9_000, 1.0)
    # 5,000 bytes a second: a second has room for 5,000, which is 1,250 values of float32.
    assert link.choose(1_250, 1.0).name == "float32"
    assert link.choose(1_251, 2.0).name == "float16"


def test_what_tells_no_speed_changes_nothing() -> None:
    link = BySpeed()
    link.took(0, 1.0)
    link.took(100, 0.0)
    assert [link.choose(VALUES, now).name for now in (0.0, 1e-9)] == ["float32"] * 2


def test_names_of_runs() -> None:
    assert isinstance(choice("auto")(), BySpeed)
    always = choice("int8")()
    assert isinstance(always, Always)
    assert [always.choose(n, 0.0) for n in (1, 10**9)] == [LINK_CODECS["int8"]] * 2
    assert (checked("auto"), checked("top-k:0.02")) == ("auto", "top-k:0.02")
    # Each link has its own.
    assert choice("auto")() is not choice("auto")()
    with pytest.raises(UsageError, match=r"expected one of .*auto; did you mean auto\?"):
        choice("atuo")
