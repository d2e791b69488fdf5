"""The command line: one command per stage, and ``keel run`` for all of them.

Each command is a function in its own file of :mod:`keel.commands`: it reads arguments, calls one room and prints.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated, Any

import typer

from keel.commands.assess import assess
from keel.commands.census import census
from keel.commands.demo import demo
from keel.commands.dimers import dimers
from keel.commands.evaluate import evaluate
from keel.commands.export import export
from keel.commands.fit import fit
from keel.commands.help_ import VERSION, help_, print_version
from keel.commands.import_ import import_
from keel.commands.init import init
from keel.commands.md import md
from keel.commands.pack import pack
from keel.commands.perturb import perturb
from keel.commands.plugin_option import Commands, Plugins, loaded
from keel.commands.report import report
from keel.commands.run import run
from keel.commands.settings import settings
from keel.commands.study import study
from keel.commands.train import NamingStrategies, train
from keel.errors import KeelError, of_command_line
from keel.files import sentence
from keel.lazy import imported_for_good
from keel.plugins import failure_in
from keel.progress import plain_warnings

INTERRUPTED = (
    "interrupted; train, run, study, assess and md with --out continue where they stopped when they are run again"
)
EXIT_CODES = (
    "Exit codes: 0 done; 1 with --strict, a probe failed or nothing was learnt; 2 something must be fixed first, one "
    "sentence says what; 130 interrupted."
)

app = Commands(
    name="keel",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# In the order in which one comes to use them; help lists them so.
app.command()(demo)
app.command()(census)
app.command()(pack)
app.command()(init)
app.command()(fit)
app.command()(perturb)
app.command(cls=NamingStrategies)(train)
app.command()(md)
app.command()(evaluate)
app.command()(dimers)
app.command()(assess)
app.command("import")(import_)
app.command()(export)
app.command()(run)
app.command()(study)
app.command()(report)
app.command()(settings)
app.command("help")(help_)


@app.callback()
def prepare(
    context: typer.Context,
    _: Annotated[bool, typer.Option("--version", callback=print_version, is_eager=True, help=VERSION)] = False,
    plugin: Plugins = None,
) -> None:
    """Physics-informed pretraining that keeps machine-learned interatomic potentials stable in MD."""
    context.with_resource(of_command_line())
    if context.invoked_subcommand in ("help", "settings"):
        return
    # Threads that wait by spinning take the cores from each other on a busy machine; read when PyTorch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with imported_for_good("torch"):
        from keel.process import prepare_process

    prepare_process()
    plain_warnings()
    loaded(plugin)


def main() -> Any:
    """Entry point: one sentence and exit code 2 for an error of user, plugin or system, 130 if interrupted."""
    try:
        app()
    except KeelError as error:
        print(f"keel: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"keel: {sentence(error)}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if not (failure := failure_in(error)):
            raise
        print(f"keel: {failure}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as stopped:
        # Typer turns the first into the second.
        if isinstance(stopped, SystemExit) and stopped.code != 130:
            raise
        print(f"keel: {INTERRUPTED}", file=sys.stderr)
        sys.exit(130)
    finally:
        gc.freeze()  # a process that ends need not look for garbage
