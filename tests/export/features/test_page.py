"""The page to draw on: its calls, what they refuse, and the whole of it in a headless Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfplus_agent.features import kept
from tfplus_agent.features.answers import Answers
from tfplus_agent.features.page import Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
SENT = {
    "version": 7, "samples": 1, "sent_bytes": 200, "received_bytes": 90, "whole_bytes": 5000,
}  # fmt: skip
# A finger: down, across, up; then the buttons in turn.
DRIVER = """<script>
addEventListener("load", async () => {
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const until = async (what) => { for (let i = 0; i < 100 && !what(); i++) await sleep(50); };
  pad.setPointerCapture = () => {};
  const box = pad.getBoundingClientRect();
  const move = (kind, x, y) => pad.dispatchEvent(new PointerEvent(kind, {
    clientX: box.left + x * box.width, clientY: box.top + y * box.height, pointerId: 1 }));
  for (const round of [1, 2]) {
    move("pointerdown", .3, .2); move("pointermove", .6, .5); move("pointermove", .4, .8);
    move("pointerup", .4, .8);
    document.getElementById("ask").click();
    await until(() => said.textContent.includes("%"));
    document.title += " [" + said.textContent + "]";
    document.querySelectorAll("#labels button")[2].click();
    await until(() => said.textContent === "");
  }
  document.getElementById("exchange").click();
  await until(() => document.querySelectorAll("#log tr").length === 3);
  const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth + 1;
  document.title += wide ? " TOO WIDE" : " FITS";
});
</script>"""


@pytest.fixture
def page(split_files: SimpleNamespace, tmp_path: Path) -> Iterator[SimpleNamespace]:
    calls: list[int] = []

    def exchange() -> dict[str, Any]:
        calls.append(1)
        return SENT

    with kept.opened(split_files.one, tmp_path / "kept") as opened:
        answers = Answers(opened, tmp_path / "none.safetensors")
        served = Page(opened, answers, exchange, "127.0.0.1:0")
        thread = threading.Thread(target=served.serve)
        thread.start()
        yield SimpleNamespace(
            url=f"http://{served.address}", kept=opened, served=served, calls=calls
        )
        served.stop()
        thread.join()
        served.close()
        answers.close()


def post(url: str, body: object, kind: str = "application/json") -> tuple[int, Any]:
    request = urllib.request.Request(  # noqa: S310 (the page's own address)
        url, json.dumps(body).encode(), {"Content-Type": kind}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_it_answers_keeps_and_sends(page: SimpleNamespace, split_files: SimpleNamespace) -> None:
    pixels = split_files.x[0].ravel().tolist()
    status, said = post(f"{page.url}/answer", {"pixels": pixels})
    assert status == 200
    assert said["was_seen"] is False
    assert said["label"] in (0, 1, 2)
    assert sum(said["probabilities"].values()) == pytest.approx(1)
    assert post(f"{page.url}/answer", {"pixels": pixels})[1]["was_seen"] is True
    assert post(f"{page.url}/correct", {"pixels": pixels, "label": 1})[1]["unsent"] == 1
    assert [a.label for a in page.kept.cache.annotated()[0]] == [1]
    assert post(f"{page.url}/exchange", {}) == (200, SENT)
    assert len(page.calls) == 1


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/answer", {"pixels": [0] * 35}, "expected 36 pixels"),
        ("/answer", {"pixels": [256] * 36}, "0 to 255"),
        ("/answer", [], "expected an object"),
        ("/correct", {"pixels": [1] * 36, "label": 1}, "ask for an answer first"),
        ("/correct", {"pixels": [1] * 36, "label": 9}, "expected one of 0, 1, 2"),
        ("/correct", {"pixels": [1] * 36, "label": True}, "expected a label"),
        ("/nothing", {}, "no such call"),
    ],
)
def test_what_it_refuses(page: SimpleNamespace, path: str, body: object, message: str) -> None:
    status, said = post(f"{page.url}{path}", body)
    assert status == 400
    assert message in said["error"]


def test_another_sites_page_cannot_call_it(page: SimpleNamespace) -> None:
    # What a form or a simple request of another origin may send.
    status, said = post(f"{page.url}/exchange", {}, "text/plain")
    assert (status, page.calls) == (400, [])
    assert "application/json" in said["error"]


@pytest.mark.parametrize("size", ["390,844", "1200,900"], ids=["phone", "desk"])
def test_a_browser_draws_corrects_and_sends(
    page: SimpleNamespace, tmp_path: Path, size: str
) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium is installed")
    page.served._html += DRIVER.encode()
    done = subprocess.run(
        [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={size}",
         "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}/profile",
         "--virtual-time-budget=60000", "--dump-dom", page.url],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    title = done.stdout.partition("<title>")[2].partition("</title>")[0]
    assert title.count("%") == 2, done.stdout[-2000:] + done.stderr[-500:]
    # The same drawing twice: the second answer comes from the cache.
    assert title.endswith("%), from the cache] FITS")
    assert "version 7" in done.stdout
    assert "90 bytes fetched of 5000" in done.stdout
    (corrected,) = page.kept.cache.annotated()[0]
    assert corrected.label == 2
    assert len(page.calls) == 1
