"""`tfplus samples`: labelled samples that come, are corrected and go; see `tfplus/data/store`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stderr_console, stdout_console

if TYPE_CHECKING:
    from tfplus.data.store.sample_store import SampleStore
    from tfplus.data.store.samples import Added
    from tfplus.fleet.clients.samples_client import SamplesClient

app = typer.Typer(
    name="samples",
    help="Keep labelled samples in a store that a model trains on (--data STORE).",
    no_args_is_help=True,
)

Place = Annotated[
    str | None,
    typer.Argument(
        metavar="[STORE]", help="The file of the store, such as samples.db; none with --agent."
    ),
]
Agent = Annotated[
    str | None,
    typer.Option("--agent", metavar="HOST:PORT", help="The store that this agent trains on."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_MIB = 1 << 20


@app.command()
def add(
    store: Place = None,
    sample: Annotated[
        str | None, typer.Argument(help="One sample: a .npy file, or a PNG or JPEG image.")
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
    agent: Agent = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Json = False,
) -> None:
    """Stores a sample; it is on disk when this returns. The store is made where it is missing.

    \b
    Examples:
      tfplus samples add samples.db x.npy --label 3
      tfplus samples add samples.db photo.png --label 0 --name 2026-05-01/17 --json
      tfplus samples add samples.db --from d.npz --max-mib 2048
      tfplus samples add photo.png --label 0 --agent pi-1.local:50051 --tls-dir certs/desk
    """
    from tfplus.data.formats import single_samples
    from tfplus.data.store.sample_store import SampleStore
    from tfplus.data.store.samples import Sample
    from tfplus.errors import UsageError

    path, given = _split(store, [sample], agent)
    one = len(given) == 1 and label is not None and all_of is None
    if not one and (given or all_of is None or label is not None or name is not None):
        raise UsageError("expected a file and its --label, or --from DATA without them")
    if path is None and max_mib is not None:
        raise UsageError("--max-mib does not go with --agent: it is said on the device itself")
    if one:
        found = iter([Sample(single_samples.one(Path(given[0])), label or 0, name)])
    else:
        found = (Sample(x, y) for x, y in single_samples.all_of(all_of or Path()))
    added: list[Added] = []
    if path is not None:
        limit = None if max_mib is None else max_mib * _MIB
        with SampleStore(path, create=True, max_bytes=limit) as opened:
            added = opened.add_all(found)
        counts = (sum(a.new for a in added), sum(not a.new for a in added))
    else:
        with _client(agent, tls_dir, insecure=insecure) as client:
            if one:
                added = [client.add(each.x, each.label, each.name) for each in found]
            counts = (
                (int(added[0].new), int(not added[0].new)) if added else client.import_all(found)
            )
    if as_json:
        told: dict[str, Any] = {"stored": counts[0], "were_there": counts[1]}
        print_json({"samples": added} if added or path is not None else told)
    elif one:
        state = "stored" if added[0].new else "was there before"
        _say(f"sample {added[0].id} {state}, with label {added[0].label}")
    else:
        _say(f"{counts[0]} samples stored, {counts[1]} were there before")


@app.command()
def correct(
    store: Place = None,
    number: Annotated[
        str | None, typer.Argument(help="Of the sample, as `add` and `list` print it.")
    ] = None,
    *,
    label: Annotated[int, typer.Option(min=0, help="Its class.")],
    agent: Agent = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Json = False,
) -> None:
    """Gives a sample another label; the next epoch trains on it.

    \b
    Examples:
      tfplus samples correct samples.db 17 --label 4
      tfplus samples correct 17 --label 4 --agent 127.0.0.1:50051
    """
    from tfplus.errors import UsageError

    path, given = _split(store, [number], agent)
    numbers = _numbers(given)
    if len(numbers) != 1:
        raise UsageError(f"expected the number of one sample, got {len(numbers)}")
    with _opened(path, agent, tls_dir, insecure=insecure) as opened:
        opened.correct(numbers[0], label)
    if as_json:
        print_json({"id": numbers[0], "label": label})
    else:
        _say(f"sample {numbers[0]} has label {label}")


@app.command()
def forget(
    store: Place = None,
    numbers: Annotated[
        list[str] | None, typer.Argument(help="Of samples; none, to finish what was interrupted.")
    ] = None,
    feature_cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also what `tfplus train --feature-cache` kept of them; an agent does it itself.",
        ),
    ] = None,
    agent: Agent = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Json = False,
) -> None:
    """Removes samples for good: the store is written anew, and no byte of them is left in it.

    What a model has learned from them stays in its weights.

    \b
    Examples:
      tfplus samples forget samples.db 17 18
      tfplus samples forget 17 18 --agent 127.0.0.1:50051
    """
    from tfplus.errors import UsageError

    path, given = _split(store, numbers or [], agent)
    wanted = _numbers(given)
    if feature_cache is not None and agent is not None:
        raise UsageError("--feature-cache does not go with --agent, which clears its own")
    with _opened(path, agent, tls_dir, insecure=insecure) as opened:
        if feature_cache is not None:
            _forget_features(feature_cache, opened, wanted)
        removed = opened.forget(wanted)
    if as_json:
        print_json({"forgotten": removed})
    else:
        _say(f"{removed} samples forgotten")


def _forget_features(folder: Path, store: Any, numbers: Sequence[int]) -> None:
    import sqlite3

    from tfplus.errors import DataError
    from tfplus.features import forgetting, signature

    try:
        for number in numbers:
            for x in store.read([number]).values():
                forgetting.forget(folder, signature.keys(x[None]))
    except (OSError, sqlite3.Error) as error:
        raise DataError(f"{folder}: the features cannot be removed: {error}") from None


@app.command("list")
def list_(
    store: Place = None,
    after: Annotated[int, typer.Option(min=0, help="Leave out numbers up to this one.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
    agent: Agent = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Json = False,
) -> None:
    """Lists samples in the order in which they were added.

    \b
    Examples:
      tfplus samples list samples.db
      tfplus samples list samples.db --after 1000 --json
      tfplus samples list --agent 127.0.0.1:50051
    """
    from rich.table import Table

    path, _ = _split(store, [], agent)
    with _opened(path, agent, tls_dir, insecure=insecure) as opened:
        (count, shape, dtype), found = opened.about(), opened.listed(after, limit)
    if as_json:
        print_json({"count": count, "shape": shape, "dtype": dtype, "samples": found})
        return
    form = f"{dtype}{list(shape)}" if shape is not None else None
    table = Table("number", "label", "name", title=f"{count} samples of {form}")
    for each in found:
        table.add_row(str(each.id), str(each.label), each.name)
    stdout_console().print(table)
    if len(found) == limit:
        _say(f"more with --after {found[-1].id}")


def _split(
    store: str | None, others: Sequence[str | None], agent: str | None
) -> tuple[Path | None, list[str]]:
    """The path of the store, None with an agent, and the other arguments that were given.

    Raises:
      UsageError: there is neither.
    """
    from tfplus.errors import UsageError

    given = [text for text in (store, *others) if text is not None]
    if agent is not None:
        return None, given
    if not given:
        raise UsageError("expected the file of a store, or --agent HOST:PORT")
    return Path(given[0]), given[1:]


def _numbers(given: Sequence[str]) -> list[int]:
    from tfplus.errors import UsageError

    if not all(text.isascii() and text.isdigit() and len(text) < 19 for text in given):
        raise UsageError(f"expected numbers of samples, got {' '.join(given)}")
    return [int(text) for text in given]


def _opened(
    path: Path | None, agent: str | None, tls_dir: Path | None, *, insecure: bool
) -> SampleStore | SamplesClient:
    from tfplus.data.store.sample_store import SampleStore

    return _client(agent, tls_dir, insecure=insecure) if path is None else SampleStore(path)


def _client(agent: str | None, tls_dir: Path | None, *, insecure: bool) -> SamplesClient:
    from tfplus.fleet.clients.samples_client import SamplesClient

    tls = encryption.tls_files(tls_dir, insecure=insecure)
    return SamplesClient(agent or "", tls, insecure=insecure)


def _say(text: str) -> None:
    stderr_console().print(text, markup=False)
