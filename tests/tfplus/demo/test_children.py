"""An interrupt at any moment ends the demo, and leaves no process behind."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from tfplus.demo import digits
from tfplus.demo.children import Children, interrupt_deferred
from tfplus.demo.options import DemoOptions
from tfplus.demo.run import Demo


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    before = signal.getsignal(signal.SIGINT)
    reached: list[str] = []

    def block() -> None:
        with interrupt_deferred():
            signal.raise_signal(signal.SIGINT)
            reached.append("end")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == ["end"]
    assert signal.getsignal(signal.SIGINT) is before


def test_children_end_with_the_block(tmp_path: Path) -> None:
    endless = ("-n", "1", "-r", "1", "import time; time.sleep(600)")
    with contextlib.suppress(KeyboardInterrupt), Children() as children:
        started = [children.start("timeit", endless, tmp_path / str(i)) for i in range(2)]
        signal.raise_signal(signal.SIGINT)
    assert [child.poll() for child in started] == [-signal.SIGTERM, -signal.SIGTERM]


def test_an_import_that_swallows_an_interrupt_does_not_lose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = digits.load()

    def load() -> digits.Samples:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return loaded

    monkeypatch.setattr(digits, "load", load)
    monkeypatch.setattr(Children, "start", lambda *_: pytest.fail("went on"))
    with pytest.raises(KeyboardInterrupt):
        Demo(tmp_path, DemoOptions(), lambda what, details: None).run()
