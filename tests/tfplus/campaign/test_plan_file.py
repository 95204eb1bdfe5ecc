"""Plans: what a right one expands to, and what is said of wrong ones before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfplus.campaign.planning import plan_file, schedule
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
        (("threads = ", 'devices = ["pi"]\nthreads = '), "devices: expected 'local', 'HOST:PORT'"),
        (("threads = ", 'devices = ["a=h:1", "a=h:2"]\nthreads = '), "each device once"),
        (("threads = ", 'passes = ["energie"]\nthreads = '), "passes: expected of timing, energy"),
        (("threads = ", 'lowerings = ["no.json"]\nthreads = '), "lowerings: expected 'own', or"),
        (("threads = ", "gates = { max_heat = 3 }\nthreads = "), "gates.max_heat: unknown key"),
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


READY = sorted((Path(plan_file.__file__).parents[1] / "ready").glob("*.toml"))


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_ready_plans_are_right(path: Path) -> None:
    plan = plan_file.read(path)
    assert plan.name == path.stem
    assert path.read_text().startswith("# "), "the list shows the first line"


def test_every_figure_of_the_study_has_a_plan() -> None:
    firsts = " ".join(path.read_text().splitlines()[0] for path in READY)
    for figure in (3, 6, 10, 11, 12, 15, 16, 17):
        assert f"Figure {figure}" in firsts or f"Figures {figure}" in firsts


def test_every_dimension_makes_cells() -> None:
    more = (
        'devices = ["local", "pi=10.0.0.7:50051"]\naccelerators = ["cpu", "gpu"]\n'
        'priorities = ["foreground", "background"]\nco_runners = ["aes"]\n'
        'passes = ["timing", "energy"]\n'
    )
    plan = plan_file.parse(GOOD.replace("threads = ", f"{more}threads = "))
    assert len(plan.cells) == len(set(plan.cells)) == 40 * 2 * 2 * 2 * 2
    assert {(bool(c.co_runner), plan.kinds(c)) for c in plan.cells} == {
        (False, ("timing", "energy")),
        (True, ("interference",)),
    }
    assert plan.runs == sum(len(schedule.runs(plan, name)) for name in plan.devices)
    reference = plan.reference
    assert (reference.accelerator, reference.priority, reference.co_runner) == (
        "cpu",
        "foreground",
        "",
    )
    assert plan.models[0].file_name.endswith("-gpu-b8.tflite")
    moved = plan_file.parse(
        GOOD.replace("threads = ", f"{more.replace('10.0.0.7', '10.0.0.8')}threads = ")
    )
    assert moved.sha256 == plan.sha256 != plan_file.parse(GOOD).sha256


def test_a_tuning_file_is_another_file_of_the_same_model(tmp_path: Path) -> None:
    (tmp_path / "tuned.json").write_text("{}")
    text = GOOD.replace("threads = ", 'lowerings = ["own", "tuned.json"]\nthreads = ')
    plan = plan_file.parse(text, folder=tmp_path)
    assert len(plan.cells) == 80
    assert len({m.file_name for m in plan.models}) == len(plan.models) == 20
    assert {m.label for m in plan.models} >= {"lenet", "lenet (tuned.json)"}
