"""The commands `tfplus features …`: what a device keeps of samples, and a user's labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli.output import print_json, stderr_console, stdout_console
from tfplus.features.eviction import FREQUENT
from tfplus_agent.commands.features import costs, exchange, page, privacy

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Features kept of a model with frozen layers: label, send, fetch what changed.",
)
app.command("flush")(exchange.flush)
app.command("pull")(exchange.pull)
app.command("log")(exchange.log)
app.command("costs")(costs.costs)
app.command("page")(page.page)
app.command("privacy")(privacy.privacy)

Model = Annotated[
    Path, typer.Argument(help="A .tflite file of `tfplus export --split` or --cached.")
]
Folder = exchange.Folder
Json = exchange.Json
Limit = Annotated[int, typer.Option(min=1, help="Of the folder, megabytes.")]


@app.command()
def annotate(
    model: Model,
    data: Annotated[Path, typer.Option(help="Samples with labels, as `tfplus train` takes them.")],
    feature_cache: Folder,
    limit_mb: Limit = 1000,
    as_json: Json = False,
) -> None:
    """Keep samples' features with the labels that a user gave; a label given again replaces.

    They are on disk when the command ends.

    \b
    Examples:
      tfplus features annotate head.tflite --data corrections.npz --feature-cache kept/
      tfplus train head.tflite --annotated --feature-cache kept/ --epochs 5
    """
    from tfplus.features.costs import FEATURES
    from tfplus_agent.features import kept
    from tfplus_agent.features.metering import metered

    with (
        metered(feature_cache, FEATURES),
        kept.opened(model, feature_cache, limit_bytes=limit_mb * 1_000_000) as opened,
    ):
        samples = kept.annotate(opened, data)
        found = {
            "samples": samples,
            "computed": opened.features.computed,
            "continued": opened.features.continued,
            **kept.counts(opened),
        }
        _warn(opened.notes)
    if as_json:
        print_json(found)
        return
    stdout_console().print(
        f"{samples} samples annotated: {found['computed']} computed, {found['continued']} from an "
        f"earlier layer; {found['annotated']} have a label, "
        f"{found['unsent']} of these no server has"
    )


@app.command()
def show(model: Model, feature_cache: Folder, as_json: Json = False) -> None:
    """Show what is kept of a model.

    \b
    Examples:
      tfplus features show head.tflite --feature-cache kept/
    """
    from tfplus_agent.features import kept

    with kept.opened(model, feature_cache) as opened:
        counts = kept.counts(opened)
        layer = opened.read.manifest.features[-1].layer
        _warn(opened.notes)
    if as_json:
        print_json({"layer": layer, **counts})
        return
    stdout_console().print(
        f"{counts['entries']} samples behind '{layer}', {counts['annotated']} with a label, "
        f"{counts['unsent']} of these no server has; {counts['predictions']} predictions answered",
        markup=False,
    )


@app.command()
def end(
    model: Model,
    feature_cache: Folder,
    frequent: Annotated[
        int, typer.Option(min=1, help="Predictions from which on a sample stays without a label.")
    ] = FREQUENT,
    as_json: Json = False,
) -> None:
    """End a session: drop what FedEx drops.

    Entries older than the model, those of other hyper-parameters, and those without a label, unless
    they answered predictions often.

    \b
    Examples:
      tfplus features end head.tflite --feature-cache kept/
    """
    from tfplus_agent.features import kept

    with kept.opened(model, feature_cache) as opened:
        dropped = opened.cache.evict(
            has_ended=True, frequent=frequent, makers=opened.features.makers
        )
        left = kept.counts(opened)["entries"]
        _warn(opened.notes)
    if as_json:
        print_json({"dropped": dropped, "left": left})
        return
    why = ", ".join(f"{number} {reason}" for reason, number in dropped.items()) or "nothing"
    stdout_console().print(f"dropped: {why}; {left} samples stay")


def _warn(notes: list[str]) -> None:
    for text in notes:
        stderr_console().print(f"warning: {text}", markup=False, soft_wrap=True)
