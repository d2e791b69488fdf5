"""Dask's side of a cluster: processes of this machine as workers, or an existing scheduler."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
import torch
from distributed import Client, LocalCluster, Nanny
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError
from distributed.utils import get_mp_context

from keel.errors import ConfigError, KeelError
from keel.progress import console

LOST = (FutureCancelledError, CommClosedError)
"""Exceptions raised when a scheduler has gone."""
WAITED = 600
"""Seconds in which a scheduler may come back, or its first worker appear."""
SETTINGS = {
    # A worker begins as a copy of a process that has imported everything; outside Linux a copy may fail.
    "distributed.worker.multiprocessing-method": "forkserver" if sys.platform == "linux" else "spawn",
    # A task that ended its worker is tried once more, not three times.
    "distributed.scheduler.allowed-failures": 1,
    # Tasks wait at the scheduler, so that a dying worker loses only its own.
    "distributed.scheduler.worker-saturation": 1.0,
    # Compiling and large fits keep a worker from answering for minutes.
    "distributed.scheduler.worker-ttl": None,
    "distributed.admin.tick.limit": "1h",
}


@contextmanager
def of_this_machine(number: int, modules: Sequence[str], endings: list[int]) -> Iterator[Client]:
    """Use processes of this machine as workers while the block runs.

    Parameters
    ----------
    number
        Of the processes.
    modules
        What they import before they are copied.
    endings
        Exit codes of workers that end by themselves are added to this.
    """

    class Watched(Nanny):  # type: ignore[misc]
        """Restarts a worker when it has ended, and records its exit code."""

        async def _on_worker_exit(self, exitcode: int) -> None:
            endings.append(exitcode)
            await super()._on_worker_exit(exitcode)

    with dask.config.set(SETTINGS), _silent():
        if sys.platform == "linux":
            get_mp_context().set_forkserver_preload(["distributed", "keel.workflow.preloaded", *modules])
        try:
            cluster = LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                worker_class=Watched,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
        except (RuntimeError, OSError, TimeoutError):
            if not endings:
                raise
            raise KeelError(why_ended(endings)) from None
        with cluster, Client(cluster) as client:
            yield client


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """Connect to a scheduler while the block runs.

    Raises
    ------
    ConfigError
        If it does not answer, or has no worker, within ten minutes; if a worker would do several tasks at a time.
    """
    with _silent(), _answer(scheduler) as client:
        if not _workers_of(client):
            console.print(f"     note  waiting for a worker of {scheduler}", soft_wrap=True)
            try:
                client.wait_for_workers(1, timeout=WAITED)
            except TimeoutError:
                raise ConfigError(f"--scheduler {scheduler} has no worker; start one with `dask worker`") from None
        for name, worker in _workers_of(client).items():
            if worker["nthreads"] != 1:
                raise ConfigError(
                    f"the worker {name} runs {worker['nthreads']} tasks at a time in one process; start workers with "
                    "`dask worker --nthreads 1`, several with --nworkers"
                )
        if "dashboard" in client.scheduler_info()["services"]:
            console.print(f"     note  dashboard of {scheduler}: {client.dashboard_link}", soft_wrap=True)
        yield client


def resources_of(client: Client) -> dict[str, float] | None:
    """Return what a task takes of its worker: a GPU where any worker has declared some."""
    return {"GPU": 1.0} if any(worker["resources"].get("GPU") for worker in _workers_of(client).values()) else None


def forget(client: Client, name: str) -> None:
    """Make workers drop what they were prepared with; those of a scheduler that has gone are gone too."""
    with suppress(*LOST):
        client.unregister_worker_plugin(name)


def gpus_for(device: str | None) -> tuple[str, ...]:
    """Return the names of the GPUs of this machine that workers share; none where the device is one of them."""
    if ":" in str(device):
        return ()
    return visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count())


def visible_gpus(visible: str | None, count: int) -> tuple[str, ...]:
    """Return the names of the GPUs that PyTorch counts, given CUDA_VISIBLE_DEVICES or None."""
    names = map(str, range(count)) if visible is None else (name.strip() for name in visible.split(","))
    return tuple(names)[:count]


def why_ended(endings: Sequence[int]) -> str:
    """Return what happened to the worker that ended last, and why or what to do, given exit codes."""
    code = next((c for c in reversed(endings) if c), None)
    if code is None:
        return "a worker has ended"
    if code == -signal.SIGKILL:
        return "a worker was killed, probably because memory ran out (use fewer --workers),"
    if code < 0:
        return f"a worker was ended by {signal.Signals(-code).name}, which keel did not send,"
    return (
        f"a worker ended by itself (exit code {code}; its last output is above; a script that starts workers must do "
        'so under `if __name__ == "__main__":`)'
    )


def _answer(scheduler: str) -> Client:
    """Return a client of a scheduler, which may be restarting."""
    where: dict[str, Any] = {"address": scheduler}
    if "://" not in scheduler:
        if not Path(scheduler).is_file():
            raise ConfigError(
                f"--scheduler {scheduler}: this is neither a file nor an address such as tcp://node1:8786"
            )
        where = {"scheduler_file": scheduler}
    end = time.monotonic() + WAITED
    while True:
        try:
            return Client(**where, timeout=10, set_as_default=False)
        except ValueError as error:
            raise ConfigError(f"--scheduler {scheduler}: {error}") from None
        except (OSError, TimeoutError):
            if time.monotonic() > end:
                raise ConfigError(f"--scheduler {scheduler} does not answer; start it with `dask scheduler`") from None
        console.print(f"     note  waiting for the scheduler {scheduler}", soft_wrap=True)
        time.sleep(5.0)


def _workers_of(client: Client) -> dict[str, Any]:
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return workers


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Dask's logs off the terminal: keel reports what matters."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
