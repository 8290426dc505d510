"""The command ``editar``: its subcommands, and the turn from errors into exit codes.

0 all done or skipped; 1 some pictures failed; 2 wrong usage; 3 a model or device cannot be
loaded; 130 stopped with Ctrl-C, 143 stopped by SIGTERM.
"""

import io
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from editar_cli import __version__
from editar_cli.commands import bench, doctor, edit, report, train, translate, weights
from editar_cli.console import Messages
from editar_cli.errors import EditarError

# Plain help instead of rich's: it is there in half the time.
app = typer.Typer(
    name="editar",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"editar {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Edit photographs from written instructions with an autoregressive image model."""


_VALUES = (
    "Flags can also be set as EDITAR_<FLAG> in the environment, such as EDITAR_BATCH_SIZE=4, or in "
    "a file for --config; the command line wins, then the environment."
)

app.command("edit", epilog=_VALUES)(edit.edit)
app.command("translate", epilog=_VALUES)(translate.translate)
app.add_typer(bench.bench_app, name="bench")
app.command("doctor")(doctor.doctor)
app.command("report")(report.report)
app.add_typer(train.app, name="train")
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Run the command line and leave with its exit code; no error of ours shows a traceback."""
    code = 0
    terminated = False

    def terminate(number: int, frame: FrameType | None) -> None:
        # As with Ctrl-C: what is begun is put in order.
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names are what the file system has, whether or not that is UTF-8.
        sys.stdout.reconfigure(errors="surrogateescape")
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        app()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except EditarError as error:
        Messages().error(str(error))
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    finally:
        signal.signal(signal.SIGTERM, before)
    if terminated:
        code = 128 + signal.SIGTERM
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone. What is still buffered has nowhere to go, and Python would complain
        # about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or 1
    sys.exit(code)
