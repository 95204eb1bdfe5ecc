"""The commands `tfplus features flush`, `pull` and `log`: between a device and a server."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stdout_console
from tfplus.errors import UsageError

Model = Annotated[
    Path, typer.Argument(help="A .tflite file of `tfplus export --split` or --cached.")
]
Folder = Annotated[
    Path, typer.Option("--feature-cache", metavar="FOLDER", help="Where features are kept.")
]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON.")]
Server = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="A server that `tfplus server` started.")
]
MinBattery = Annotated[
    float | None,
    typer.Option(min=0, max=100, help="Percent: not below it, unless the device is plugged in."),
]
OnlyCharging = Annotated[
    bool, typer.Option("--only-charging", help="Not while the device is not plugged in.")
]

Retry = Annotated[
    float,
    typer.Option(
        "--retry-s", min=0.0, help="Seconds to try again where the server cannot be reached."
    ),
]


def flush(
    model: Model,
    feature_cache: Folder,
    server: Server,
    device: Annotated[
        str | None, typer.Option(help="This device's name, in plaintext; the host's if not given.")
    ] = None,
    clip: Annotated[
        float | None,
        typer.Option(min=0.0, help="Largest norm of a sample's features; see docs/fedex.md."),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Deviation of Gaussian noise on each feature, in units of --clip."
        ),
    ] = None,
    label_epsilon: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Labels by randomised response: some leave as another; see the document."
        ),
    ] = None,
    min_battery: MinBattery = None,
    only_charging: OnlyCharging = False,
    retry_s: Retry = 0.0,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Json = False,
) -> None:
    """Send features that a user gave labels and that no server has: no sample leaves the device.

    A flush that was cut off is gone on with, and counts once; `tfplus features log` lists them.

    \b
    Examples:
      tfplus features flush head.tflite --feature-cache kept/ --server 127.0.0.1:50061
      tfplus features flush head.tflite --feature-cache kept/ --server hub.local:50061 \\
          --tls-dir certs/pi-1 --only-charging --clip 10 --noise 0.5
    """
    import numpy as np

    from tfplus.feature_server import head
    from tfplus.features import costs
    from tfplus.features.sendings import Sending
    from tfplus.fleet.clients.feature_client import FeatureClient
    from tfplus_agent.features import energy, kept, label_response, noising, patience
    from tfplus_agent.features.flush import Flushed
    from tfplus_agent.features.flush import flush as send
    from tfplus_agent.features.metering import metered
    from tfplus_agent.storage import naming

    rng = np.random.default_rng()
    change = noising.of(clip, noise, rng)
    notes = [change.note] if change.note else []
    if label_epsilon is not None:
        notes.append(f"labels by randomised response, epsilon {label_epsilon:g} each")
    energy.require(min_battery, only_charging=only_charging)
    tls = encryption.tls_files(tls_dir, insecure=insecure)
    name = "" if tls is not None else naming.own_name(device, None)
    with (
        kept.opened(model, feature_cache) as opened,
        FeatureClient(server, tls, insecure=insecure) as client,
    ):
        labels = head.labels_of(opened.read.manifest)

        def respond(given: list[int]) -> list[int]:
            if label_epsilon is None:
                return given
            return label_response.respond(given, labels, label_epsilon, rng)

        def work() -> Flushed:
            return send(
                opened,
                client,
                name,
                change=change.apply,
                respond=respond,
                note="; ".join(notes),
                sending=Sending(change.multiplier, label_epsilon or 0.0, len(labels)),
            )

        with metered(feature_cache, costs.FLUSH, client):
            sent = patience.with_retries(work, retry_s, rng)
    if as_json:
        print_json(sent)
        return
    held = "" if sent.held_samples is None else f"; the server holds {sent.held_samples} samples"
    stdout_console().print(
        f"{sent.samples} samples in {sent.batches} batches, {sent.sent_bytes:,} bytes{held}"
    )


def pull(
    model: Model,
    feature_cache: Folder,
    server: Server,
    weights: Annotated[
        Path | None,
        typer.Option(help="A .safetensors to bring up to date; by default MODEL's name with it."),
    ] = None,
    min_battery: MinBattery = None,
    only_charging: OnlyCharging = False,
    retry_s: Retry = 0.0,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Json = False,
) -> None:
    """Fetch the tensors of the head that changed, or the whole file where the backbone did.

    \b
    Examples:
      tfplus features pull head.tflite --feature-cache kept/ --server 127.0.0.1:50061
      tfplus evaluate head.tflite --weights head.safetensors --data held_out.npz
    """
    import numpy as np

    from tfplus.features import costs
    from tfplus.fleet.clients.feature_client import FeatureClient
    from tfplus_agent.features import energy, patience
    from tfplus_agent.features.metering import metered
    from tfplus_agent.features.pull import pull as fetch

    energy.require(min_battery, only_charging=only_charging)
    tls = encryption.tls_files(tls_dir, insecure=insecure)
    target = weights or model.with_suffix(".safetensors")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such directory for the weights")
    with (
        FeatureClient(server, tls, insecure=insecure) as client,
        metered(feature_cache, costs.PULL, client),
    ):
        got = patience.with_retries(
            lambda: fetch(client, model, target, feature_cache), retry_s, np.random.default_rng()
        )
    if as_json:
        print_json(got)
        return
    what = "the whole model" if got.has_new_model else f"{len(got.changed)} tensors"
    say = stdout_console().print
    say(
        f"version {got.version}: {what} in {got.received_bytes:,} bytes "
        f"(model and weights: {got.whole_bytes:,})"
    )
    if got.carried or got.lost:
        say(
            f"{got.carried} annotated samples go on with it; {got.lost} are lost, since what is "
            "kept of them does not lead to its layer: annotate them again"
        )


def log(feature_cache: Folder, as_json: Json = False) -> None:
    """List what left this device: when, where to, how many samples of which layer.

    \b
    Examples:
      tfplus features log --feature-cache kept/
    """
    from rich.table import Table

    from tfplus.features.index import Index
    from tfplus.features.schema import NAME
    from tfplus.features.uploads import Uploads

    if not (feature_cache / NAME).is_file():
        raise UsageError(f"{feature_cache}: no feature cache: expected the folder of one")
    index = Index(feature_cache)
    try:
        uploads = Uploads(index.db).every()
    finally:
        index.close()
    if as_json:
        print_json(uploads)
        return
    table = Table("made", "server", "layer", "samples", "bytes", "acknowledged", "note")
    for one in uploads:
        made = datetime.datetime.fromtimestamp(one.made_s).strftime("%F %T")
        there = "yes" if one.sent_s is not None else "not yet"
        numbers = str(one.samples), f"{one.size_bytes:,}"
        table.add_row(made, one.server, one.layer, *numbers, there, one.note)
    stdout_console().print(table)
