"""The command `tfplus agent tiles`."""

from __future__ import annotations

from typing import Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.output import stderr_console
from tfplus.system import sizes
from tfplus_agent.server.callers.permissions import Permissions


def tiles(
    listen: Annotated[
        str, typer.Option(help="HOST:PORT to serve on; port 0 takes a free one.")
    ] = "127.0.0.1:50052",
    tls_dir: encryption.TlsDir = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="What tiles may take, such as 200MB; the kernel holds."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Of the runtime.")] = 1,
) -> None:
    """Compute tiles of a network that is trained across several devices.

    `tfplus tile train --devices` leads: it sends this device its part of the network and of the
    samples. Devices send each other halos and gradients directly, so that each must reach the
    others under the address that the leader is given. Plaintext stays on this machine; with
    --tls-dir the leader needs an owner's certificate, the devices a peer's.

    This is a process of its own beside `tfplus agent`, which knows nothing of it: train with one of
    them at a time. Ctrl-C ends it.

    \b
    Examples:
      tfplus agent tiles
      tfplus agent tiles --listen 0.0.0.0:50052 --tls-dir certs --memory 200MB
    """
    from tfplus.tiles.process.serve import Server, runtime, serve

    limit = 0 if memory is None else sizes.parse("--memory", memory)
    tls = encryption.tls_files(tls_dir, insecure=False)
    permissions = Permissions(tls.revoked if tls else None)

    def told(address: str, enforced: bool) -> None:
        held = f", {memory} at most" if enforced else ""
        if memory is not None and not enforced:
            held = f"; {memory} is not enforced on this system"
        stderr_console().print(f"tiles are served on {address}{held}", markup=False)

    serve(Server(listen, runtime(threads), tls, permissions.check), limit, told)
