"""The processes of one job, one for each device: started by keel, torchrun or srun, and ended together."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

import torch

from keel.errors import ConfigError
from keel.lazy import imported_for_good

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Precision = Literal["32-true", "64-true", "bf16-mixed"]

_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE")


def launched(device: str = "auto", devices: int | None = 1, nodes: int = 1, precision: Precision = "32-true") -> Fabric:
    """Return Lightning's Fabric with all its processes running; ``fabric.device`` is the device of this one.

    Keel starts the other processes of this node by running the same command again, unless torchrun or srun has started
    them all.

    Parameters
    ----------
    device
        Kind of the devices: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    devices, nodes
        Devices of each node, and nodes; see :func:`size_of_job`.
    precision
        Of what Fabric wraps.

    Raises
    ------
    ConfigError
        If there is no such device, or there are fewer; if other processes are requested where they cannot be started,
        or their number differs from that started earlier.
    """
    devices, nodes = size_of_job(devices, nodes)
    _check(device, devices)
    # Imported here: it takes seconds, and most of keel does without.
    with imported_for_good("lightning.fabric"):
        from lightning.fabric import Fabric

    if devices * nodes == 1:
        return Fabric(accelerator=device, devices=1, precision=precision)
    _check_job(devices * nodes)
    if "LOCAL_RANK" in os.environ and not _started_outside():
        end_with_parent()
    fabric = Fabric(
        accelerator=device,
        strategy="ddp",
        devices=devices,
        num_nodes=nodes,
        precision=precision,
        plugins=[_environment()],
    )
    for name in ("lightning.fabric", "lightning.pytorch"):  # Fabric announces every process
        logging.getLogger(name).setLevel(logging.WARNING)
    fabric.launch()
    # Threads of the group that still run when the process ends would abort it.
    atexit.unregister(_leave)
    atexit.register(_leave)
    return fabric


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def size_of_job(devices: int | None, nodes: int = 1) -> tuple[int, int]:
    """Return the devices of each node, and the nodes, that share the work of this process.

    One device of one node is this process alone, however it was started. Otherwise the numbers are those of torchrun or
    srun if they have started it, whatever was requested. ``devices=None`` means their number, or one without them.
    """
    if nodes < 1 or (devices is not None and devices < 1):
        raise ConfigError("devices and nodes must be at least 1")
    if devices == nodes == 1:
        return 1, 1
    if _of_torchrun():
        size = int(os.environ["WORLD_SIZE"])
        on_node = int(os.environ.get("LOCAL_WORLD_SIZE", max(1, size // nodes)))
        return on_node, size // on_node
    if _of_srun():
        size, nodes = int(os.environ["SLURM_STEP_NUM_TASKS"]), int(os.environ.get("SLURM_STEP_NUM_NODES", 1))
        return size // nodes, nodes
    return devices or 1, nodes


def is_first() -> bool:
    """Return whether this process represents its job: on the terminal, and in shared files."""
    names = ("RANK",) if _of_torchrun() else ("SLURM_PROCID",) if _of_srun() else ("NODE_RANK", "LOCAL_RANK")
    return all(int(os.environ.get(name, 0)) == 0 for name in names)


def end_with_parent() -> None:
    """End this process when the one that started it ends: it would write into the files of the next one."""
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _of_torchrun() -> bool:
    return all(name in os.environ for name in _TORCHRUN)


def _of_srun() -> bool:
    # In a batch script that does not use srun, the other variables are set but there are no other processes.
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1


def _started_outside() -> bool:
    return _of_torchrun() or _of_srun()


def _environment() -> Any:
    from lightning.fabric.plugins.environments import (
        LightningEnvironment,
        SLURMEnvironment,
        TorchElasticEnvironment,
    )

    # Not left to Fabric, which takes every process inside a job of Slurm for one that srun has started.
    if _of_torchrun():
        return TorchElasticEnvironment()
    return SLURMEnvironment(auto_requeue=False) if _of_srun() else LightningEnvironment()


def _check(device: str, devices: int) -> None:
    if device not in ("auto", "cpu", "cuda", "mps"):
        raise ConfigError(f"several devices must be of one kind: cpu, cuda or mps, not {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is 'cuda' but PyTorch sees no CUDA device; set device to 'auto' or 'cpu'")
    if device == "cuda" or (device == "auto" and torch.cuda.is_available()):
        there = torch.cuda.device_count()
        if devices > there:
            raise ConfigError(
                f"devices is {devices} but PyTorch sees {there} on this machine; set it to at most {there}"
            )
    elif devices > 1 and (device == "mps" or (device == "auto" and torch.backends.mps.is_available())):
        raise ConfigError(f"devices is {devices} but there is only one device 'mps'; set devices to 1")


def _check_job(size: int) -> None:
    running = torch.distributed.get_world_size() if torch.distributed.is_initialized() else None
    if running not in (None, size):
        raise ConfigError(
            f"{size} processes are requested but {running} are already running; give the same number everywhere"
        )
    restartable = sys.argv[:1] not in ([], [""], ["-"], ["-c"]) and not hasattr(sys, "ps1")
    if running is None and not _started_outside() and not restartable:
        raise ConfigError("several devices need a script or the command line: each process runs it from its beginning")
