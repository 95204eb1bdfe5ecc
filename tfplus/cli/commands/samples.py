"""`tfplus samples`: labelled samples that come, are corrected and go; see `tfplus/data/store`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tfplus.cli.output import print_json, stderr_console, stdout_console

app = typer.Typer(
    name="samples",
    help="Keep labelled samples in a store that a model trains on (--data STORE).",
    no_args_is_help=True,
)

Store = Annotated[Path, typer.Argument(help="The file of the store, such as samples.db.")]
Label = Annotated[int, typer.Option(min=0, help="Its class.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_MIB = 1 << 20


@app.command()
def add(
    store: Store,
    sample: Annotated[
        Path | None, typer.Argument(help="One sample: a .npy file, or a PNG or JPEG image.")
    ] = None,
    label: Annotated[int | None, typer.Option(min=0, help="Its class.")] = None,
    name: Annotated[
        str | None,
        typer.Option(help="A name of your own, unique; by default equal samples are stored once."),
    ] = None,
    all_of: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="DATA", help="All samples of an .npz, or of x.npy and y.npy, instead."
        ),
    ] = None,
    max_mib: Annotated[
        int | None, typer.Option(min=1, help="What the store may grow to; at first 512.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Stores a sample; it is on disk when this returns. The store is made where it is missing.

    \b
    Examples:
      tfplus samples add samples.db x.npy --label 3
      tfplus samples add samples.db photo.png --label 0 --name 2026-05-01/17 --json
      tfplus samples add samples.db --from d.npz --max-mib 2048
    """
    from tfplus.data.formats import single_samples
    from tfplus.data.store.sample_store import SampleStore
    from tfplus.errors import UsageError

    limit = None if max_mib is None else max_mib * _MIB
    if sample is not None and label is not None and all_of is None:
        found = iter([(single_samples.one(sample), label)])
    elif all_of is not None and sample is None and label is None and name is None:
        found = single_samples.all_of(all_of)
    else:
        raise UsageError("expected a file and its --label, or --from DATA without them")
    with SampleStore(store, create=True, max_bytes=limit) as opened:
        added = [opened.add(x, y, name) for x, y in found]
    if as_json:
        print_json({"samples": added})
    elif len(added) == 1:
        state = "stored" if added[0].new else "was there before"
        _say(f"sample {added[0].id} {state}, with label {added[0].label}")
    else:
        new = sum(a.new for a in added)
        _say(f"{new} samples stored, {len(added) - new} were there before")


@app.command()
def correct(
    store: Store,
    number: Annotated[int, typer.Argument(help="Of the sample, as `add` and `list` print it.")],
    label: Label,
    as_json: Json = False,
) -> None:
    """Gives a sample another label; the next epoch trains on it.

    \b
    Examples:
      tfplus samples correct samples.db 17 --label 4
    """
    from tfplus.data.store.sample_store import SampleStore

    with SampleStore(store) as opened:
        opened.correct(number, label)
    if as_json:
        print_json({"id": number, "label": label})
    else:
        _say(f"sample {number} has label {label}")


@app.command()
def forget(
    store: Store,
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Of samples; none, to finish what was interrupted.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Removes samples for good: the store is written anew, and no byte of them is left in it.

    What a model has learned from them stays in its weights.

    \b
    Examples:
      tfplus samples forget samples.db 17 18
    """
    from tfplus.data.store.sample_store import SampleStore

    with SampleStore(store) as opened:
        removed = opened.forget(numbers or [])
    if as_json:
        print_json({"forgotten": removed})
    else:
        _say(f"{removed} samples forgotten")


@app.command("list")
def list_(
    store: Store,
    after: Annotated[int, typer.Option(min=0, help="Leave out numbers up to this one.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
    as_json: Json = False,
) -> None:
    """Lists samples in the order in which they were added.

    \b
    Examples:
      tfplus samples list samples.db
      tfplus samples list samples.db --after 1000 --json
    """
    from rich.table import Table

    from tfplus.data.store.sample_store import SampleStore

    with SampleStore(store) as opened:
        form, found = opened.form(), opened.listed(after, limit)
        count = opened.count()
    if as_json:
        shape: Any = None if form is None else form.shape
        dtype = None if form is None else form.dtype.name
        print_json({"count": count, "shape": shape, "dtype": dtype, "samples": found})
        return
    table = Table("number", "label", "name", title=f"{count} samples of {form}")
    for each in found:
        table.add_row(str(each.id), str(each.label), each.name)
    stdout_console().print(table)
    if len(found) == limit:
        _say(f"more with --after {found[-1].id}")


def _say(text: str) -> None:
    stderr_console().print(text, markup=False)
