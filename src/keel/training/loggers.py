"""Where the metrics of a training go: to loggers of Lightning Fabric, and to functions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from keel.errors import ConfigError, UnavailableError
from keel.training.metrics import Row

if TYPE_CHECKING:
    from lightning.fabric import Fabric

FOLDER = "logs"
"""Beside the checkpoint; everything that loggers write is in it."""


@runtime_checkable
class Logger(Protocol):
    """Any logger of Lightning Fabric."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log numbers by name."""

    def save(self) -> None:
        """Write what was logged."""

    def finalize(self, status: str) -> None:
        """Finish with the status ``"success"`` or ``"failed"``."""


Function = Callable[[Row], object]


class Log:
    """Passes each row of the metrics to functions at once, and to loggers just before a checkpoint contains it.

    A training resumed from the checkpoint repeats the steps after it, which loggers have not seen.

    Parameters
    ----------
    functions, loggers
        Receivers of the rows.
    history
        Grows with each step; its present rows have been passed on.
    """

    def __init__(self, functions: Sequence[Function], loggers: Sequence[Logger], history: list[Row]) -> None:
        self._functions, self._loggers, self._history = functions, loggers, history
        self._given = len(history)

    def __call__(self, row: Row) -> None:
        """Give functions a row."""
        for function in self._functions:
            function(row)

    def deliver(self) -> None:
        """Give loggers the rows since the last time, and let them write."""
        new, self._given = self._history[self._given :], len(self._history)
        for logger in self._loggers:
            _give(logger, new)


def _give(logger: Logger, rows: Sequence[Row]) -> None:
    """Give rows to a logger: numbers named by stage, at the number of the step in all stages."""
    for row in rows:
        numbers = {f"{row['stage']}/{n}": x for n, x in row.items() if n not in ("stage", "step", "taken")}
        logger.log_metrics(numbers, row["taken"])
    if not type(logger).__module__.startswith("wandb."):  # W&B sends by itself; its save() would add an empty row
        logger.save()


@contextmanager
def logged(
    fabric: Fabric,
    names: Sequence[str],
    given: Sequence[Logger | Function],
    folder: str | Path | None,
    history: list[Row],
) -> Iterator[Log]:
    """Open the loggers with a name, and close them and those that are given at the end.

    Only the first process of a job has loggers; functions are called in each.
    """
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    # A single process takes its rank from Slurm, and loggers are silent where that is not 0.
    rank_zero_only.rank = fabric.global_rank
    functions = [one for one in given if not isinstance(one, Logger)]
    loggers: list[Logger] = []
    status = "failed"
    with ExitStack() as stack:
        if fabric.is_global_zero:
            place = Path(folder or ".") / FOLDER
            loggers += [stack.enter_context(_OPENED[name](place, history)) for name in dict.fromkeys(names)]
            loggers += [one for one in given if isinstance(one, Logger)]
        log = Log(functions, loggers, history)
        try:
            yield log
            status = "success"
        finally:
            if status == "success" or folder is None:  # else the last steps will be repeated
                log.deliver()
            for logger in loggers:
                logger.finalize(status)


def check_loggers(names: Sequence[str], given: Sequence[object] = (), *, folder: str | Path | None = "") -> None:
    """Raise an error if a logger cannot do its work.

    Raises
    ------
    UnavailableError
        If its package is not installed.
    ConfigError
        If there is no folder to write into (None), or an object is not a logger.
    """
    for name in names:
        packages = _PACKAGES.get(name, ())
        if packages and not any(map(find_spec, packages)):
            raise UnavailableError(f"the logger {name} needs its package; install it: pip install 'mlip-keel[{name}]'")
        if folder is None:
            raise ConfigError(f"the logger {name} writes into the folder of the training; give one: folder=...")
    for one in given:
        if not (callable(one) or isinstance(one, Logger)):
            raise ConfigError(
                f"{one!r} is neither a logger of Lightning Fabric nor a function; "
                "names belong in the settings: TrainingSettings(loggers=['csv'])"
            )


@contextmanager
def _csv(place: Path, history: list[Row]) -> Iterator[Logger]:
    from lightning.fabric.loggers import CSVLogger

    # It starts its file anew, so earlier rows are written again.
    (place / "csv" / "metrics.csv").unlink(missing_ok=True)
    logger = CSVLogger(place, name="", version="csv")
    _give(logger, history)
    yield logger


@contextmanager
def _tensorboard(place: Path, history: list[Row]) -> Iterator[Logger]:
    from lightning.fabric.loggers import TensorBoardLogger

    # Rows that an earlier process may have written for steps still to be taken are not shown.
    yield TensorBoardLogger(place, name="", version="tensorboard", purge_step=len(history) + 1)


@contextmanager
def _wandb(place: Path, history: list[Row]) -> Iterator[Logger]:
    import wandb
    from wandb.integration.lightning.fabric import WandbLogger

    known = place / "wandb-run"
    place.mkdir(parents=True, exist_ok=True)
    if not (history and known.is_file()):
        known.write_text(secrets.token_hex(4))
    of_user = wandb.run is not None
    logger = WandbLogger(name=place.resolve().parent.name, save_dir=place, id=known.read_text())
    try:
        run = logger.experiment
    except wandb.errors.Error as error:
        why = str(error).rstrip(".")
        raise ConfigError(f"the logger wandb cannot begin ({why}); log in, or set WANDB_MODE=offline") from None
    with nullcontext() if of_user else run:
        yield logger


_OPENED: Mapping[str, Callable[[Path, list[Row]], AbstractContextManager[Logger]]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
}
_PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}
