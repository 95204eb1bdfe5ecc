"""`tfplus pair`: a certificate for a device that shows a one-time code."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli.output import stderr_console
from tfplus.errors import MissingExtraError

app = typer.Typer(add_completion=False)


@app.command()
def pair(
    address: Annotated[
        str, typer.Argument(metavar="HOST[:PORT]", help="Where the device waits; port 50052.")
    ],
    code: Annotated[str, typer.Argument(help="What `tfplus agent pair` shows there.")],
    ca: Annotated[Path, typer.Option(help="Directory of the CA.")],
    name: Annotated[
        str, typer.Option(help="Name of the device; by default what it calls itself.")
    ] = "",
    host: Annotated[
        list[str] | None,
        typer.Option(help="Further names or addresses that it is reached by; may be repeated."),
    ] = None,
    role: Annotated[
        str,
        typer.Option(
            help="What it may ask of other agents: peer (gossip, watching), reader (watching) or "
            "owner (everything)."
        ),
    ] = "peer",
    days: Annotated[int, typer.Option(min=1, help="Days of validity.")] = 825,
    force: Annotated[
        bool, typer.Option("--force", help="Also where this CA signed that name before.")
    ] = False,
) -> None:
    """Give a device its certificate: it makes its own key, this CA signs it, no file is copied.

    The code is checked by both sides, and can be guessed neither by trying nor by listening. The
    device learns the CA's certificate and the list of revoked ones on the same way.

    \b
    Examples:
      tfplus pair pi-3.local 7KQF-2M9X --ca ca
      tfplus pair 10.0.0.7:50099 7KQF-2M9X --ca ca --name pi-3 --host pi-3.local
    """
    try:
        from tfplus.pairing import desk
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tfplus"):
            raise
        raise MissingExtraError.of("tfplus pair", "pair") from error
    from tfplus.wire import roles

    terms = desk.Terms(ca, name, host or [], roles.role_named(role), days, force)
    now = datetime.datetime.now(datetime.timezone.utc)
    paired, copy = desk.pair(address, code, terms, now)
    stderr_console().print(
        f"'{paired}' is paired, as a {terms.role}; a copy of its certificate is in {copy}",
        markup=False,
        soft_wrap=True,
    )
