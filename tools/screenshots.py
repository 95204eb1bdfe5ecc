"""Renders pages in a headless Chromium and checks what a reader would see.

usage: scripts/screenshots PAGE.html... [-o DIR]

A copy of each page gets a script that measures it where it is drawn: whether a figure has marks
that can be seen, whether a text of a drawing lies within it, whether anything stands beyond the
page's edge. The page itself has no script.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = {"wide": (1200, 4000), "narrow": (420, 6000)}
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_TIMEOUT_S = 120
_MEASURE = """
<script>addEventListener('load', () => {
  const found = [];
  const seen = (e) => e.getClientRects().length > 0;
  const figures = [...document.querySelectorAll('figure')];
  for (const figure of figures) {
    const drawings = [...figure.querySelectorAll('svg')].filter(seen);
    const name = (s) => (s.querySelector('title') || {}).textContent || '?';
    if (drawings.length !== 1) found.push('a figure shows ' + drawings.length + ' drawings');
    for (const svg of drawings) {
      const box = svg.getBoundingClientRect();
      const marks = [...svg.querySelectorAll('[data-series] path, [data-series] use, path')]
        .map((e) => e.getBoundingClientRect())
        .filter((r) => r.width * r.height > 4 || Math.max(r.width, r.height) > 8);
      if (box.width < 100 || box.height < 60 || marks.length < 3)
        found.push('empty figure: ' + name(svg));
      const level = [];
      for (const text of svg.querySelectorAll('text')) {
        const r = text.getBoundingClientRect();
        if (!text.textContent.trim() || !r.width) continue;
        if (r.left < box.left - 1 || r.right > box.right + 1 ||
            r.top < box.top - 1 || r.bottom > box.bottom + 1)
          found.push('cut off in "' + name(svg) + '": ' + text.textContent.trim());
        // A tilted text's box is larger than the text.
        const turned = /rotate\\((?!-?0[ ,)])/.test(text.getAttribute('transform') || '');
        for (const [r2, other] of turned ? [] : level)
          if (Math.min(r.right, r2.right) - Math.max(r.left, r2.left) > 2 &&
              Math.min(r.bottom, r2.bottom) - Math.max(r.top, r2.top) > 4)
            found.push('two texts cover each other in "' + name(svg) + '": ' +
                       other + ', ' + text.textContent.trim());
        if (!turned) level.push([r, text.textContent.trim()]);
      }
    }
  }
  const edge = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > edge + 1)
    found.push('the page is ' + document.documentElement.scrollWidth + ' wide, of ' + edge);
  for (const e of document.querySelectorAll('h1, h2, h3, p, dt, dd, li')) {
    if (!seen(e) || e.closest('.scroll')) continue;
    if (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
      found.push('beyond the edge: ' + e.textContent.trim().slice(0, 60));
  }
  const told = document.createElement('pre');
  told.id = 'measured';
  told.textContent = JSON.stringify({figures: figures.length, found});
  document.body.append(told);
});</script>
"""


class NoChromiumError(Exception):
    """There is no Chromium on this machine."""


def chromium() -> str:
    """Path of the browser.

    Raises:
      NoChromiumError: there is none.
    """
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise NoChromiumError("no Chromium: apt-get install chromium")
    return found


def measured(page: Path, size: tuple[int, int]) -> tuple[int, list[str]]:
    """How many figures a page shows on a screen of that size, and what is wrong with it."""
    with tempfile.TemporaryDirectory() as work:
        copy = Path(work) / "page.html"
        text = page.read_text("utf-8")
        copy.write_text(text.replace("</body>", f"{_MEASURE}</body>"), "utf-8")
        drawn = _run(work, size, "--dump-dom", copy.as_uri())
    told = re.search(r'<pre id="measured">(.*?)</pre>', drawn, re.DOTALL)
    if told is None:
        return 0, ["the browser did not draw the page"]
    answer = json.loads(html.unescape(told[1]))
    return answer["figures"], answer["found"]


def picture(page: Path, size: tuple[int, int], target: Path) -> None:
    """Writes a PNG of a page."""
    with tempfile.TemporaryDirectory() as work:
        _run(work, size, f"--screenshot={target.resolve()}", page.resolve().as_uri())


def _run(work: str, size: tuple[int, int], *arguments: str) -> str:
    # Chromium's own sandbox needs rights that containers lack; the pages are ours.
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    options += ["--disable-dev-shm-usage", f"--user-data-dir={work}/profile"]
    options += [f"--window-size={size[0]},{size[1]}", "--virtual-time-budget=5000"]
    done = subprocess.run(
        [chromium(), *options, *arguments],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=True,
    )
    return done.stdout


def main() -> int:
    """Looks at each page."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE.html")
    parser.add_argument("-o", "--output", type=Path, default=Path("screenshots"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    wrong = 0
    try:
        for page in options.pages:
            for name, size in SIZES.items():
                target = options.output / f"{page.stem}-{name}.png"
                picture(page, size, target)
                figures, found = measured(page, size)
                wrong += len(found)
                print(f"{page}, {name}: {figures} figures, {len(found)} faults; {target}")
                for fault in found:
                    print(f"  {fault}")
    except NoChromiumError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
