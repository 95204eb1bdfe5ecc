"""Plans: what a right one expands to, and what is said of wrong ones before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfplus.campaign import plan_file
from tfplus.errors import UsageError
from tfplus.model_file.artifact import Artifact

GOOD = """
name = "sweep"
threads = [1, 2]
batch_sizes = [8, 16]
[[models]]
family = "fc"
depth = [1, 2]
width = [64, 128]
[[models]]
name = "lenet"
input_shape = [32, 32, 3]
"""


def test_a_plan_is_the_product_of_its_lists() -> None:
    plan = plan_file.parse(GOOD)
    # (4 of the sweep + 1) × 2 batch sizes × 2 phases × 2 numbers of threads.
    assert len(plan.cells) == len(set(plan.cells)) == 40
    assert plan.runs == plan.repetitions * 42
    assert plan.cells[0].model.name == "fc-d1-w64"
    assert plan.models[-1].file_name == "lenet-32x32x3-b16.tflite"


def test_a_file_brings_its_own_batch_size(toy: Artifact) -> None:
    text = f'name = "f"\n[[models]]\nfile = "{toy.path.name}"\n'
    plan = plan_file.parse(text, folder=toy.path.parent)
    assert [(c.model.batch_size, c.phase) for c in plan.cells] == [(8, "train"), (8, "infer")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("threads", "thread"), "thread: unknown key; did you mean threads?"),
        (("width", "widht"), r"models\[0\].widht: unknown key; did you mean width?"),
        (("[1, 2]\nbatch", "[0]\nbatch"), "threads: expected numbers from 1 to 256, got 0"),
        (("[1, 2]\nbatch", "[1, 1]\nbatch"), "threads: expected at least one number, each once"),
        (('"lenet"', '"../lenet"'), "expected the name of a model of the zoo"),
        (('"sweep"', "3"), "name: expected a text, got 3"),
        (("[8, 16]", "[8"), "expected TOML"),
        (("threads = ", 'devices = ["pi:50051"]\nthreads = '), "devices: expected 'local' alone"),
        (
            ("threads = ", 'reference = "vgg16"\nthreads = '),
            "reference: expected one of the models",
        ),
        (("threads = ", 'phases = ["trian"]\nthreads = '), "phases: expected of train, infer"),
    ],
)
def test_a_wrong_plan_is_refused_by_name(change: tuple[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        plan_file.parse(GOOD.replace(*change, 1))


def test_a_matrix_of_a_million_cells_is_refused_before_it_is_expanded() -> None:
    many = list(range(1, 65))
    text = GOOD.replace("[1, 2]\nbatch", f"{many}\nbatch").replace("[64, 128]", f"{many}")
    with pytest.raises(UsageError, match="expected at most 5,000 cells, got 33,"):
        plan_file.parse(text)


@pytest.mark.parametrize(
    "ready", ["sec19-fig6", "sec19-fig6-reduced", "sec19-fig10", "sec19-fig15"]
)
def test_ready_plans_are_right(ready: str) -> None:
    path = Path(plan_file.__file__).parent / "ready" / f"{ready}.toml"
    assert plan_file.read(path).name == ready
