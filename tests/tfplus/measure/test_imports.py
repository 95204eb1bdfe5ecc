"""What runs beside a measured system brings no packages of its own."""

from __future__ import annotations

import subprocess
import sys


def test_timing_needs_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import tfplus.measure.alternation;"
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before} - {'tfplus'}"
        " - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
