"""Plans: what they expand to, and what is refused before anything starts."""

from __future__ import annotations

from importlib import resources

import pytest

from tfplus.campaign import plan_file, schedule
from tfplus.errors import UsageError

WHOLE = """
name = "w"
seed = 3
repetitions = 4
batch_sizes = [8, 16]
threads = [1, 2]
phases = ["train", "infer"]
reference = "fc-d1-w32"

[[models]]
family = "fc"
depth = [1, 4]
width = 32

[[models]]
name = "lenet"
"""


def test_it_expands_to_every_cell_once() -> None:
    plan = plan_file.parse(WHOLE)
    names = ["fc-d1-w32", "fc-d4-w32", "lenet"]
    wanted = {
        (n, b, p, t) for n in names for b in (8, 16) for p in ("train", "infer") for t in (1, 2)
    }
    found = [(c.model.name, c.model.batch_size, c.phase, c.threads) for c in plan.cells]
    assert set(found) == wanted
    assert len(found) == len(wanted)
    assert plan.reference.model.name == "fc-d1-w32"
    assert plan.runs == 4 * (len(wanted) + 2)


def test_a_plans_hash_is_of_what_it_says_and_not_of_how() -> None:
    spaced = WHOLE.replace("seed = 3", "seed   =   3  # the same")
    assert plan_file.parse(WHOLE).sha256 == plan_file.parse(spaced).sha256
    other = WHOLE.replace("seed = 3", "seed = 4")
    assert plan_file.parse(WHOLE).sha256 != plan_file.parse(other).sha256


def test_blocks_hold_every_cell_once_between_references_in_an_order_of_the_seed() -> None:
    plan = plan_file.parse(WHOLE)
    runs = schedule.runs(plan, plan.cells)
    assert len(runs) == plan.runs
    orders = []
    for block in range(4):
        own = [r for r in runs if r.block == block]
        assert [own[0].reference, own[-1].reference] == ["begin", "end"]
        assert own[0].cell == own[-1].cell == plan.reference
        assert {r.cell for r in own[1:-1]} == set(plan.cells)
        orders.append(tuple(r.cell for r in own[1:-1]))
    assert len(set(orders)) == 4
    assert runs == schedule.runs(plan, plan.cells)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "models is missing"),
        ("name = [", "expected TOML"),
        ('name = "a"\nrepetitons = 3', "repetitons: unknown key; did you mean repetitions"),
        ('name = "a"', "models"),
        ('name = "a"\n[[models]]\nname = "lenet"\nwidht = 3', "did you mean width"),
        ('name = "a"\nphases = ["trian"]\n[[models]]\nname = "lenet"', "train, infer"),
        ('name = "a"\nthreads = 0\n[[models]]\nname = "lenet"', "threads"),
        ('name = "a"\ndevices = ["pi:1"]\n[[models]]\nname = "lenet"', "agents cannot be asked"),
        ('name = "a"\nreference = "x"\n[[models]]\nname = "lenet"', "one of the models lenet"),
        ('name = "a"\n[[models]]\nfamily = "fc"\ndepth = 1', "a depth and a width"),
        ('name = "a"\n[[models]]\nname = "../x"', "name of a model"),
        ('name = "a"\n[[models]]\nfile = "nowhere.tflite"', "nowhere.tflite"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(Exception, match=says) as refused:
        plan_file.parse(text)
    assert type(refused.value).__module__.startswith("tfplus") or isinstance(
        refused.value, FileNotFoundError
    )


def test_a_million_cells_are_refused_before_they_are_made() -> None:
    many = ", ".join(map(str, range(1, 65)))
    wide = ", ".join(map(str, range(1, 4001)))
    model = f'[[models]]\nfamily = "fc"\ndepth = [{many}]\nwidth = [{wide}]'
    text = f'name = "a"\nbatch_sizes = [1, 2, 3, 4]\n{model}'
    with pytest.raises(UsageError, match="at most 5,000 cells, got 2,048,000"):
        plan_file.parse(text)


READY = [f for f in resources.files("tfplus.campaign.ready").iterdir() if f.name.endswith(".toml")]


@pytest.mark.parametrize("file", READY, ids=lambda f: f.name)
def test_ready_plans_are_right(file: object) -> None:
    text = file.read_text("utf-8")  # type: ignore[attr-defined]
    plan = plan_file.parse(text, str(file))
    assert plan.cells
    assert text.startswith("# ")
