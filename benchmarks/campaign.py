"""What a campaign costs beside what it measures.

usage: python benchmarks/campaign.py [--overhead] [--load] [--json FILE]

  --overhead  a loop of steps of 10 ms as a repetition takes it, against the bare loop, in
              alternation: expected at most 1 % more
  --load      100,000 iterations are read from a journal, and the report is drawn: expected less
              than 10 s

Without either, both. Exit code 1 where something is above what is expected. On a loaded machine the
ratio still means something, since both loops see the same load; the seconds do not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "device_agent")]

from tfplus.benchmark.repetition import Answer, Request  # noqa: E402
from tfplus.campaign import devices, results, runner  # noqa: E402
from tfplus.campaign.figures import report  # noqa: E402
from tfplus.campaign.planning import plan_file  # noqa: E402
from tfplus.measure import ratios  # noqa: E402
from tfplus.measure.alternation import Limit, Plan, in_turn, timed  # noqa: E402
from tfplus_agent.benchmark.opened import Opened  # noqa: E402

STEP_S = 0.010
ITERATIONS, BLOCKS = 100, 9
MOST_OVERHEAD, MOST_SECONDS, ROWS = 0.01, 10.0, 100_000


def model() -> Path:
    """The small exported file that `tfplus doctor` brings."""
    return ROOT / "device_agent/tfplus_agent/doctor/probe/model.tflite"


def overhead() -> dict[str, Any]:
    """The loop of a repetition against the bare one: each block's time by its iterations."""

    def step() -> None:
        # Works, since a sleep would be as long as the system likes.
        end = time.perf_counter() + STEP_S
        while time.perf_counter() < end:
            pass

    told: list[str] = []
    opened = Opened(
        Request(str(model()), "train", 1, ITERATIONS),
        Path("/"),
        lambda times: told.append(json.dumps({"ms": list(times)})),
    )
    opened.__dict__["step"] = step

    def whole(loop: Any) -> Any:
        def once() -> None:
            loop(ITERATIONS)

        return timed(once)

    systems = {
        "bare": whole(lambda n: [step() for _ in range(n)]),
        "harness": whole(opened.timed),
    }
    found = in_turn(systems, Plan(BLOCKS, Limit(1), warm_up=Limit(1)))
    ratio = ratios.of_blocks(found["harness"], found["bare"])
    print(f"harness ÷ bare loop at {STEP_S * 1e3:g} ms steps: {ratio}", file=sys.stderr)
    return {"ratio": vars(ratio), "holds": ratio.value <= 1 + MOST_OVERHEAD}


def load() -> dict[str, Any]:
    """Writes a campaign of made-up times, then reads and draws it."""
    iterations = ROWS // 20

    def made(request: Request, timeout_s: float) -> Answer:
        return Answer("made 1", (9.0, *(2.0 + i % 7 * 0.01 for i in range(iterations - 1))), {})

    with tempfile.TemporaryDirectory() as work:
        text = f'name = "load"\nrepetitions = 5\niterations = {iterations}\n'
        plan = plan_file.parse(f'{text}[[models]]\nfile = "{model()}"\n')
        device = devices.Local(made, memory_bytes=1 << 40)
        runner.run(plan, Path(work) / "r", open_device=lambda name, address: device)
        begin = time.perf_counter()
        campaign = results.read(Path(work) / "r")
        rows = sum(1 for _ in campaign.rows())
        read_s = time.perf_counter() - begin
        page = report.render(campaign)
        seconds = time.perf_counter() - begin
    print(
        f"{rows:,} iterations: read in {read_s:.2f} s, with the report {seconds:.2f} s "
        f"({len(page) / 1e6:.1f} MB)",
        file=sys.stderr,
    )
    return {"rows": rows, "read_s": read_s, "seconds": seconds, "holds": seconds < MOST_SECONDS}


def main() -> int:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--overhead", action="store_true")
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    both = not (options.overhead or options.load)
    found: dict[str, Any] = {}
    if options.overhead or both:
        found["overhead"] = overhead()
    if options.load or both:
        found["load"] = load()
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0 if all(part["holds"] for part in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
