"""Asks a TFLite runtime which operators it has, and up to which version of each.

usage: scripts/operator-table [--check] PYTHON...

Each PYTHON has ai-edge-litert or tflite-runtime installed. What it answers is written to
`export/tfplus_export/targets/runtimes/DISTRIBUTION.json`, or with --check compared with that (exit
1 if they differ).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from tfplus.system import temporary

TABLES = Path(__file__).parents[1] / "export" / "tfplus_export" / "targets" / "runtimes"
# Above any version of any operator so far (CONV_2D and FULLY_CONNECTED have 14).
MOST_VERSIONS = 24
NOT_BUILTIN = frozenset({"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"})

# Runs in the other Python. A model that merely lists an operator is refused as it is loaded if the
# runtime lacks it; no operator runs.
ASK = """
import importlib.metadata, json, pathlib, sys
try:
    from ai_edge_litert.interpreter import Interpreter
    name = "ai-edge-litert"
except ImportError:
    from tflite_runtime.interpreter import Interpreter
    name = "tflite-runtime"
found = {}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    operator, version = path.name.split(".")
    try:
        Interpreter(model_content=path.read_bytes())
    except ValueError as error:
        # The second: of an operator that came after the runtime.
        if not any(t in str(error) for t in ("Didn't find op", "out of range")):
            raise
    else:
        found[operator] = max(found.get(operator, 0), int(version))
version = importlib.metadata.version(name)
print(json.dumps({"runtime": name, "version": version, "operators": found}))
"""


def lists_one(code: int, version: int) -> bytes:
    """A model without operators in its graph that lists one."""
    operator = schema.OperatorCodeT()
    operator.builtinCode = code
    operator.deprecatedBuiltinCode = min(code, 127)
    operator.version = version
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [], [], [], []
    model = schema.ModelT()
    model.version = 3
    model.operatorCodes = [operator]
    model.subgraphs = [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def ask(python: str, folder: Path) -> str:
    """The table of the runtime that `python` has, as JSON."""
    done = subprocess.run(
        [python, "-c", ASK, str(folder)], stdout=subprocess.PIPE, check=True, text=True
    )
    table = json.loads(done.stdout.splitlines()[-1])
    return json.dumps(table, indent=1, sort_keys=True) + "\n"


def main() -> int:
    """Reads the arguments, asks, writes or compares."""
    arguments = sys.argv[1:]
    check = "--check" in arguments
    pythons = [a for a in arguments if a != "--check"]
    if not pythons or any(a.startswith("-") for a in pythons):
        sys.stderr.write(__doc__ or "")
        return 2
    differ = False
    with temporary.folder("ask") as folder:
        for name, code in vars(schema.BuiltinOperator).items():
            if name.startswith("_") or name in NOT_BUILTIN:
                continue
            for version in range(1, MOST_VERSIONS + 1):
                (folder / f"{name}.{version}").write_bytes(lists_one(code, version))
        for python in pythons:
            table = ask(python, folder)
            path = TABLES / f"{json.loads(table)['runtime']}.json"
            if not check:
                path.write_text(table)
            elif not path.is_file() or path.read_text() != table:
                differ = True
                sys.stderr.write(
                    f"error: {path.name} is not what {python} says: run scripts/operator-table\n"
                )
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
