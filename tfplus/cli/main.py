"""The root command: mounts the others and turns every error into a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, Any

import typer
import typer.core

from tfplus import __version__
from tfplus.cli import mount
from tfplus.cli.entry import INTERRUPT_EXIT_CODE
from tfplus.cli.output import print_error
from tfplus.errors import RemoteError, TfplusError
from tfplus.system import temporary

FILE_ERROR_EXIT_CODE = 3
BROKEN_PIPE_EXIT_CODE = 128 + 13


class RootGroup(typer.core.TyperGroup):
    """Commands are imported when they are used; errors become exit codes here, in one place."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._waiting = {m.name: m for m in mount.installed()}

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands; imports what was not imported yet."""
        for name in list(self._waiting):
            self._load(name)
        return sorted(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or None; imports the module that is known to bring it, else all."""
        self._load(cmd_name)
        if cmd_name not in self.commands:
            self.list_commands(ctx)
        return self.commands.get(cmd_name)

    def invoke(self, ctx: Any) -> Any:
        """Runs the chosen command and answers its errors."""
        temporary.remove_stale()
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (TfplusError, OSError, KeyboardInterrupt) as error:
            raise typer.Exit(answer(error)) from error
        except Exception as error:
            if not _is_rpc_error(error):
                raise
            raise typer.Exit(answer(RemoteError(_rpc_message(error)))) from error
        return result

    def _load(self, name: str) -> None:
        waiting = self._waiting.pop(name, None)
        if waiting is not None:
            self.commands.update(mount.load(waiting))


app = typer.Typer(
    name="tfplus",
    cls=RootGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tfplus {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Train Keras models on phones and Raspberry Pis, and let them learn from each other.

    \b
    Examples:
      tfplus demo
      tfplus export zoo:lenet -o lenet.tflite --batch-size 32 --input-shape 32,32,3 --classes 10
      tfplus inspect lenet.tflite
    """


def answer(error: BaseException) -> int:
    """Prints what a user should read about `error`, and returns the exit code that goes with it.

    With TFPLUS_DEBUG=1 in the environment the error is raised again, for its traceback.
    """
    if os.environ.get("TFPLUS_DEBUG") == "1":
        raise error
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPT_EXIT_CODE
    if isinstance(error, BrokenPipeError):
        _drop_unwritable_output()
        return BROKEN_PIPE_EXIT_CODE
    if isinstance(error, TfplusError):
        print_error(str(error))
        return error.exit_code
    if isinstance(error, OSError):
        _drop_unwritable_output()
        print_error(_file_message(error))
        return FILE_ERROR_EXIT_CODE
    raise error


def main() -> None:
    """Runs the root command; the console script comes here by way of `tfplus.cli.entry`."""
    app()


_ADVICE = {
    errno.ENOSPC: "free some space, or choose another directory",
    errno.EDQUOT: "free some space, or choose another directory",
    errno.EACCES: "check its permissions, or choose another path",
    errno.EPERM: "check its permissions, or choose another path",
    errno.EROFS: "choose a path on a writable file system",
    errno.ENOENT: "check the path",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def _drop_unwritable_output() -> None:
    # What is still buffered may have no reader or no room: Python would complain again at exit.
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _file_message(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    advice = _ADVICE.get(error.errno or 0)
    return f"{where}{what}" + (f"; {advice}" if advice else "")


def _is_rpc_error(error: Exception) -> bool:
    # gRPC takes a tenth of a second to import, and most commands never do.
    grpc = sys.modules.get("grpc")
    return grpc is not None and isinstance(error, grpc.RpcError)


def _rpc_message(error: Any) -> str:
    code = error.code().name if callable(getattr(error, "code", None)) else "error"
    details = error.details() if callable(getattr(error, "details", None)) else str(error)
    return f"the call to the agent failed ({code}): {details}"
