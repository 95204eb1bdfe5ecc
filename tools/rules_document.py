"""Writes docs/rules.md: every rule, a layer that needs it, and how far its gradients are off.

usage: python tools/rules_document.py [--check]

--check compares all but the measured numbers, and says what differs.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "export" / "support")]

import keras
import tensorflow as tf
from rule_cases import CASES, measured

from tfplus_export.lowering import ops
from tfplus_export.lowering.engine.rule import AnyRule, KernelVariants
from tfplus_export.lowering.table import RULES

PATH = ROOT / "docs" / "rules.md"
HEAD = """# The lowering rules

Written by `scripts/rules-table`; do not edit. How rules work: [design.md](design.md).

One row an operation of TensorFlow: a layer that is made of it; what it is lowered to, in order of
preference where there are several; and the largest error of a gradient in that case, relative to
the largest element, against TensorFlow's own gradient, and of its slope in float64, from values
alone, along random directions. A dash: the gradient is not the slope, by definition.
`tests/export/lowering/test_rule_cases.py` holds these cases; the sweeps over shapes, strides,
paddings and options are in the other files there, and `test_random_models.py` composes models
from the table.

"""


def rule_modules() -> dict[str, str]:
    """A module's own name → its dotted path, for all modules below `tfplus_export.lowering.ops`."""
    found = pkgutil.walk_packages(ops.__path__, f"{ops.__name__}.")
    return {info.name.rpartition(".")[2]: info.name for info in found if not info.ispkg}


def names() -> dict[int, str]:
    """Id of a rule → the module and name that it has below `tfplus_export.lowering.ops`."""
    found: dict[int, str] = {}
    for module, path in rule_modules().items():
        for name, value in vars(importlib.import_module(path)).items():
            if isinstance(value, (AnyRule, KernelVariants)) and not name.startswith("_"):
                found.setdefault(id(value), f"{module}.{name}")
    return found


def modules() -> list[str]:
    """A line for each module that holds rules."""
    used = {name.partition(".")[0] for name in names().values()}
    paths = rule_modules()
    lines: list[str] = []
    for name in sorted(used):
        module = importlib.import_module(paths[name])
        first = (module.__doc__ or "").strip().splitlines()[0]
        lines.append(f"- `{name}`: {first}")
    return lines


def rows(*, with_numbers: bool) -> list[str]:
    """The table's rows, with or without what is measured."""
    known = names()
    lines: list[str] = []
    for operation in sorted(RULES):
        entry = RULES[operation]
        rules = entry if isinstance(entry, tuple) else (entry,)
        lowered = ", ".join(f"`{known[id(rule)]}`" for rule in rules)
        case = CASES[operation]
        line = f"| {operation} | `{case.written}` | {lowered} |"
        if with_numbers:
            keras.backend.clear_session()
            keras.utils.set_random_seed(0)
            gradient, slope = measured(case)
            line += f" {gradient:.0e} | {f'{slope:.0e}' if case.slopes else '–'} |"
        lines.append(line)
    return lines


def main(arguments: list[str]) -> int:
    """Writes the document, or checks it."""
    if "--check" in arguments:
        there = PATH.read_text()
        missing = [line for line in [*rows(with_numbers=False), *modules()] if line not in there]
        sys.stdout.writelines(f"docs/rules.md lacks: {line}\n" for line in missing)
        rest = there.count("\n| ") - 1 - len(RULES)
        if rest:
            sys.stdout.write(f"docs/rules.md has {rest} rows more than the table\n")
        return 1 if missing or rest else 0
    table = [
        "| Operation | As written | Lowered by | Error | Of slope |",
        "|---|---|---|---|---|",
        *rows(with_numbers=True),
    ]
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    text = HEAD + "\n".join(table) + f"\n\nMeasured with {versions}.\n\n## Modules\n\n"
    PATH.write_text(text + "\n".join(modules()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
