"""The packages and the machine that numbers come from."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from typing import Any

import torch

from keel.version import __version__


def versions(workers: int) -> dict[str, Any]:
    """Return the versions and the machine, on which the numbers of a run may depend besides its inputs."""
    packages = ("torch", "numpy", "scipy", "ase", "vesin", "lightning")
    return {
        "keel": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads() if workers == 1 else 1,
        "workers": workers,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }
