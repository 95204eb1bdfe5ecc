"""The command `tfplus agent health`."""

from __future__ import annotations

from typing import Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.output import stdout_console
from tfplus.errors import MissingExtraError

_NOT_SERVING_EXIT_CODE = 7


def health(
    address: Annotated[str, typer.Argument(help="HOST:PORT of the agent.")] = "127.0.0.1:50051",
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 10.0,
) -> None:
    """Ask an agent whether it does its work; for a container's health check, say.

    Asks the standard gRPC health service. On the agent's own device --tls-dir is the agent's: it
    then expects the very certificate that lies there, under whatever address.

    \b
    Ends with 0 if it serves, 7 if it does not, 5 if it cannot be reached.

    \b
    Examples:
      tfplus agent health
      tfplus agent health 10.0.0.7:50051 --tls-dir certs/laptop
    """
    try:
        from tfplus_agent.server import health_client
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tfplus"):
            raise
        raise MissingExtraError.of("tfplus agent health", "agent") from error
    files = encryption.tls_files(tls_dir, insecure=insecure)
    status = health_client.ask(address, files, insecure=insecure, timeout_s=timeout)
    stdout_console().print(status, markup=False)
    if status != health_client.SERVING:
        raise typer.Exit(_NOT_SERVING_EXIT_CODE)
