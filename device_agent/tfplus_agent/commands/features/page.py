"""The command `tfplus features page`: draw, see the answer, correct it, watch the model learn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tfplus.cli import encryption
from tfplus.cli.output import stderr_console
from tfplus.errors import UsageError
from tfplus_agent.commands.features import exchange


def page(
    model: exchange.Model,
    feature_cache: exchange.Folder,
    server: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where corrected features go.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Of the head; by default MODEL's name with .safetensors."),
    ] = None,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT of the page; plaintext, for a browser.")
    ] = "127.0.0.1:8080",
    device: Annotated[
        str | None, typer.Option(help="This device's name, in plaintext; the host's if not given.")
    ] = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
) -> None:
    """Serve a page to draw on: the device answers, keeps features, sends what was corrected.

    It needs a model of square images of one channel with labels. Serves until Ctrl-C.

    \b
    Examples:
      tfplus features page head.tflite --feature-cache kept/ --server 127.0.0.1:50061
    """
    from tfplus.fleet.clients.feature_client import FeatureClient
    from tfplus_agent.features import kept
    from tfplus_agent.features.answers import Answers
    from tfplus_agent.features.flush import flush
    from tfplus_agent.features.page import Page
    from tfplus_agent.features.pull import pull
    from tfplus_agent.storage import naming

    tls = None if tls_dir is None else encryption.tls_files(tls_dir, insecure=False)
    name = "" if tls is not None else naming.own_name(device, None)
    target = weights or model.with_suffix(".safetensors")
    with kept.opened(model, feature_cache) as opened:

        def swap() -> Mapping[str, Any]:
            with FeatureClient(server or "", tls, insecure=insecure) as client:
                if client.published().model_sha256 != opened.read.sha256:
                    raise UsageError(
                        "the server has another model: end the page, run `tfplus features pull`"
                    )
                sent = flush(opened, client, name)
                got = pull(client, model, target, feature_cache)
                return {**vars(sent), **vars(got)}

        answers = Answers(opened, target)
        try:
            served = Page(opened, answers, swap if server else None, listen, insecure=insecure)
            text = f"the page is on http://{served.address}/; Ctrl-C ends it"
            stderr_console().print(text, markup=False)
            try:
                served.serve()
            finally:
                served.close()
        finally:
            answers.close()
