"""The command `tfplus agent pair`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli.output import print_json, stderr_console
from tfplus.errors import MissingExtraError
from tfplus_agent.storage import naming


def pair(
    tls_dir: Annotated[
        Path, typer.Option(help="Where key and certificates go; for --tls-dir of the agent.")
    ],
    name: Annotated[
        str | None, typer.Option(help="What the device calls itself; its host name by default.")
    ] = None,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT to wait at; port 0 takes a free one.")
    ] = "0.0.0.0:50052",
    expires: Annotated[
        int, typer.Option(min=10, max=3600, help="Seconds that the code is worth something.")
    ] = 300,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Code and result as JSON.")] = False,
) -> None:
    """Show a code, and take the certificate that `tfplus pair` on the desk gives for it.

    The key is made here and never leaves this device. The code works once; it is gone after the
    third wrong one and after five minutes, and started again there is another.

    \b
    Examples:
      tfplus agent pair --tls-dir /etc/tfplus/pi-3
      tfplus agent pair --tls-dir certs --name pixel --listen 0.0.0.0:50099
    """
    try:
        from tfplus.pairing.device import Listener
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tfplus"):
            raise
        raise MissingExtraError.of("tfplus agent pair", "pair") from error
    notes = stderr_console()
    own = naming.own_name(name, None)
    with Listener(listen, tls_dir, own, force=force, expires_s=expires) as listener:
        port = listener.address.rpartition(":")[2]
        if as_json:
            print_json({"code": listener.code, "address": listener.address, "name": own})
        else:
            typer.echo(listener.code)
            where = "" if port == "50052" else f":{port}"
            notes.print(
                f"'{own}' waits on {listener.address} for {expires} s; on your desk, type\n"
                f"  tfplus pair HOST{where} {listener.code} --ca CA",
                markup=False,
            )
        paired = listener.wait(lambda text: notes.print(text, markup=False))
    if as_json:
        print_json({"paired_as": paired.name, "expires": paired.expires.isoformat()})
        return
    notes.print(
        f"paired as '{paired.name}' until {paired.expires:%Y-%m-%d}: tfplus agent --tls-dir "
        f"{tls_dir}",
        markup=False,
        soft_wrap=True,
    )
