"""`tfplus certs`: a project CA and a certificate for each device, for mutual TLS."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli.output import stderr_console

app = typer.Typer(
    name="certs",
    help="Make a project CA and the devices' certificates for mutual TLS.",
    no_args_is_help=True,
)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where the CA goes; keep it private.")],
    name: Annotated[str, typer.Option(help="Common name of the CA.")] = "tfplus project CA",
    days: Annotated[int, typer.Option(min=1, help="Days of validity.")] = 3650,
    force: Annotated[bool, typer.Option("--force", help="Replace a CA that is there.")] = False,
) -> None:
    """Makes a CA: `ca.pem` to hand out, `ca-key.pem` to keep.

    \b
    Examples:
      tfplus certs init ca
      tfplus certs init ca --name "six Pis" --days 365
    """
    from tfplus.wire import certs

    certs.create_ca(directory, _now(), name=name, days=days, force=force)
    stderr_console().print(
        f"wrote {directory / certs.CA_FILE} and {directory / certs.CA_KEY_FILE}; "
        "whoever has the key can join the project",
        markup=False,
    )


@app.command()
def issue(
    name: Annotated[str, typer.Argument(help="Name of the device: its identity towards peers.")],
    ca: Annotated[Path, typer.Option(help="Directory of the CA.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the three files go.")],
    host: Annotated[
        list[str],
        typer.Option(help="DNS name or IP address that peers connect to; may be repeated."),
    ],
    days: Annotated[int, typer.Option(min=1, help="Days of validity.")] = 825,
    role: Annotated[
        str,
        typer.Option(
            help="owner (everything), peer (gossip, watching) or reader (watching): what its "
            "holder may ask of agents."
        ),
    ] = "owner",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Makes a device's certificate and key, next to a copy of the CA's certificate.

    \b
    Examples:
      tfplus certs issue pi1 --host pi1.local --host 10.0.0.7 --ca ca -o pi1
      tfplus certs issue laptop --host localhost --host 127.0.0.1 --ca ca -o laptop --days 30
      tfplus certs issue dashboard --host localhost --role reader --ca ca -o dashboard
    """
    from tfplus.wire import certs, roles

    kind = roles.role_named(role)
    certs.issue(name, host, ca, output, _now(), days=days, role=kind, force=force)
    stderr_console().print(
        f"wrote the certificate of '{name}' to {output}; copy that directory to the device",
        markup=False,
    )


@app.command()
def renew(
    directory: Annotated[Path, typer.Argument(help="What `tfplus certs issue` wrote.")],
    ca: Annotated[Path, typer.Option(help="Directory of the CA.")],
    days: Annotated[int, typer.Option(min=1, help="Days of validity.")] = 825,
) -> None:
    """Replaces a certificate and its key by new ones of the same name, hosts and role.

    \b
    Examples:
      tfplus certs renew certs/pi1 --ca ca
    """
    from tfplus.wire import cert_changes

    expires = cert_changes.renew(directory, ca, _now(), days=days)
    stderr_console().print(
        f"wrote a new certificate to {directory}; copy it to the device and start its agent anew. "
        f"The old one is valid until {expires:%Y-%m-%d}",
        markup=False,
    )


@app.command()
def revoke(
    certificate: Annotated[
        Path, typer.Argument(help="cert.pem, or the directory that `tfplus certs issue` wrote.")
    ],
    ca: Annotated[Path, typer.Option(help="Directory of the CA.")],
) -> None:
    """Adds a certificate to the list of those that agents refuse.

    Agents read `revoked.txt` beside their own certificate, at every call: copy it there.

    \b
    Examples:
      tfplus certs revoke certs/lost-phone --ca ca
      scp ca/revoked.txt pi1:certs/pi1/
    """
    from tfplus.wire import cert_changes

    name, listed = cert_changes.revoke(certificate, ca, _now())
    stderr_console().print(
        f"'{name}' is revoked; copy {listed} into the certificate directory of every agent",
        markup=False,
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
