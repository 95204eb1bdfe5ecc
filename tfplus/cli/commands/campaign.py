"""`tfplus campaign`: measurements by a file."""

from __future__ import annotations

import dataclasses
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stderr_console, stdout_console
from tfplus.errors import UsageError
from tfplus.system.files import write_atomic

if TYPE_CHECKING:
    from tfplus.campaign.summary import Summary

app = typer.Typer(
    name="campaign", no_args_is_help=True, help="Measure models by a plan, with statistics."
)
_REGRESSION_EXIT_CODE = 1
_READY = "tfplus.campaign.ready"

PlanFile = Annotated[Path, typer.Argument(help="A campaign.toml; `init` writes one.")]
ResultFolder = Annotated[Path, typer.Argument(help="The folder of a result.")]
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


@app.command()
def init(
    name: Annotated[str | None, typer.Argument(help="Of a ready plan.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")] = Path(
        "campaign.toml"
    ),
    show_list: Annotated[bool, typer.Option("--list", help="List the ready plans.")] = False,
) -> None:
    """Write a ready plan, such as that of a figure of the SEC'19 study.

    \b
    Examples:
      tfplus campaign init --list
      tfplus campaign init sec19-fig6 -o fig6.toml
    """
    texts = {
        f.name.removesuffix(".toml"): f.read_text("utf-8")
        for f in resources.files(_READY).iterdir()
        if f.name.endswith(".toml")
    }
    if show_list or name is None:
        for known in sorted(texts):
            first = texts[known].splitlines()[0].removeprefix("# ")
            typer.echo(f"{known:20} {first}")
        return
    if name not in texts:
        raise UsageError(f"no ready plan '{name}': expected one of {', '.join(sorted(texts))}")
    if output.exists():
        raise UsageError(f"{output}: exists already: choose another with -o")
    write_atomic(output, texts[name].encode())
    stderr_console().print(f"wrote {output}", markup=False)


@app.command("plan")
def show_plan(
    file: PlanFile,
    models: Annotated[Path | None, typer.Option(help="Folder of exported models.")] = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Json = False,
) -> None:
    """Check a plan and show its cells, the memory each needs, and how long it may take.

    Devices are asked how much memory they have; one that cannot be reached is named.

    \b
    Examples:
      tfplus campaign plan campaign.toml
    """
    from tfplus.campaign import devices, exporting, forecast, runner
    from tfplus.campaign.planning import plan_file
    from tfplus.cli.text import campaign as campaign_table

    found = plan_file.read(file)
    folder = models or Path(runner.MODELS_NAME)
    lacking = forecast.missing(found, folder)
    costs = exporting.costs(sorted({m.name for m in lacking}))
    forecasts = forecast.of(found, folder, costs)
    seconds = forecast.duration_s(found, forecasts, len(lacking))
    opener = devices.opener(encryption.tls_files(tls_dir, insecure=insecure), insecure=insecure)
    memory, unreached = devices.memories(found.devices, opener)
    if as_json:
        told = {"memory_bytes": memory, "unreached": unreached}
        print_json({"plan": found, "forecasts": forecasts, "guessed_s": seconds, **told})
        return
    console = stdout_console()
    console.print(campaign_table.forecasts(forecasts, memory))
    for name, why in unreached.items():
        console.print(f"{name} was not reached, so what fits there is unknown: {why}", markup=False)
    console.print(
        f"{len(found.cells)} cells × {found.repetitions} repetitions, with the reference "
        f"{found.runs} processes; {len(lacking)} models to export; about "
        f"{campaign_table.duration(seconds)}, guessed from the operations alone",
        markup=False,
    )


@app.command()
def run(
    file: PlanFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the result.")],
    models: Annotated[
        Path | None, typer.Option(help="Folder of exported models; else one in the result's.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Run also what has failed before.")
    ] = False,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Json = False,
) -> None:
    """Measure what the result folder has not got yet; after a stop, run it again.

    \b
    Examples:
      tfplus campaign run campaign.toml -o result
      tfplus campaign run fleet.toml -o result --tls-dir certs/desk
    """
    from tfplus.campaign import devices, journal, results, runner, summary
    from tfplus.campaign.planning import plan_file
    from tfplus.cli.text import campaign as campaign_table

    plan = plan_file.read(file)
    opener = devices.opener(encryption.tls_files(tls_dir, insecure=insecure), insecure=insecure)
    try:
        with campaign_table.live() as show:
            runner.run(plan, output, show, models=models, again=again, open_device=opener)
    finally:
        # What there is can be read, also where a device was lost.
        if (output / journal.NAME).exists():
            results.read(output).write_csv(output / "iterations.csv")
    summaries = summary.of(results.read(output))
    if as_json:
        print_json({"summaries": [_told(s) for s in summaries]})
        return
    stdout_console().print(campaign_table.summaries(summaries))


@app.command()
def show(result: ResultFolder, as_json: Json = False) -> None:
    """Show what a campaign has measured so far, and whether each run has one result.

    \b
    Examples:
      tfplus campaign show result
    """
    from tfplus.campaign import account, journal, results, summary
    from tfplus.cli.text import campaign as campaign_table

    found = results.read(result)
    summaries, told = summary.of(found), account.of(found.plan, journal.read(result))
    if as_json:
        print_json({"summaries": [_told(s) for s in summaries], "account": told})
        return
    stdout_console().print(campaign_table.summaries(summaries))
    stdout_console().print(str(told), markup=False)


@app.command()
def report(
    result: ResultFolder,
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")] = Path(
        "report.html"
    ),
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the page, drawings as SVG and PDF, data as CSV, tables."),
    ] = None,
) -> None:
    """Write one HTML file with figures, their data, intervals, validity and findings.

    \b
    Examples:
      tfplus campaign report result -o report.html
      tfplus campaign report result --out figures
    """
    from tfplus.campaign import results
    from tfplus.campaign.figures import files
    from tfplus.campaign.figures import report as campaign_report

    if out is not None:
        written = files.write(results.read(result), out)
        stderr_console().print(f"wrote {len(written)} files to {out}", markup=False)
        return
    write_atomic(output, campaign_report.render(results.read(result)).encode())
    stderr_console().print(f"wrote {output}", markup=False)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="The folder of a result.")],
    after: Annotated[Path, typer.Argument(help="Another.")],
    allow_unlike: Annotated[
        bool, typer.Option("--allow-unlike", help="Also where the environments differ.")
    ] = False,
    threshold: Annotated[
        float, typer.Option(min=0, max=10, help="A difference of at most this fraction is none.")
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Compare two results cell by cell; exit code 1 where a cell became slower.

    \b
    Examples:
      tfplus campaign compare before after --threshold 0.05
    """
    from tfplus.campaign import comparing, results
    from tfplus.cli.text import campaign as campaign_table

    changes = comparing.compare(
        results.read(before),
        results.read(after),
        allow_unlike=allow_unlike,
        threshold=threshold,
    )
    if as_json:
        print_json({"changes": changes})
    else:
        stdout_console().print(campaign_table.changes(changes))
    if any(change.outcome == "slower" for change in changes):
        raise typer.Exit(_REGRESSION_EXIT_CODE)


@app.command()
def table(
    result: ResultFolder,
    output: Annotated[Path, typer.Option("-o", "--output", help="File: .csv or .parquet.")],
) -> None:
    """Write all iterations as one table, a row an iteration, units in the names.

    \b
    Examples:
      tfplus campaign table result -o iterations.parquet
    """
    from tfplus.campaign import results, table_file

    table_file.write(results.read(result), output)
    stderr_console().print(f"wrote {output}", markup=False)


@app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders of results.", metavar="RESULT...")],
    output: Annotated[Path, typer.Option("-o", "--output", help="New folder of them all.")],
) -> None:
    """Put results of one plan on different devices together.

    \b
    Examples:
      tfplus campaign merge pi-kitchen pi-attic -o both
    """
    from tfplus.campaign import merging

    merged = merging.merge(folders, output)
    stderr_console().print(
        f"wrote {output}: {len(merged.cells)} cells of {len(merged.devices)} devices", markup=False
    )


@app.command()
def publish(
    result: ResultFolder,
    output: Annotated[Path, typer.Option("-o", "--output", help="New folder.")],
    keep_names: Annotated[
        bool, typer.Option("--keep-names", help="Leave the names of devices.")
    ] = False,
) -> None:
    """Write a copy fit for a repository: names, addresses and paths are replaced.

    \b
    Examples:
      tfplus campaign publish result -o docs/measured
    """
    from tfplus.campaign import publishing

    publishing.publish(result, output, keep_names=keep_names)
    stderr_console().print(
        f"wrote {output}; look through it before you commit: free texts may say more", markup=False
    )


def _told(summary: Summary) -> dict[str, object]:
    return {**dataclasses.asdict(summary), "verdict": summary.verdict}
