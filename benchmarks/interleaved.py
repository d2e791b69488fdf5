"""Ratios of pieces of work that take turns, and what they were measured on."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Clock = Callable[[], float]


def seconds(
    work: Mapping[str, Callable[[], float | None]], rounds: int, clock: Clock = time.process_time
) -> dict[str, np.ndarray]:
    """Do every piece of work once a round, after one round to warm up; seconds of each, or what it returns itself."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for round_ in range(rounds + 1):
        for name, function in work.items():
            start = clock()
            own = function()
            if round_:
                found[name].append(clock() - start if own is None else own)
    return {name: np.array(times) for name, times in found.items()}


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> dict[str, Any]:
    """Return the median of the ratios round by round, with their quartiles."""
    low, middle, high = (round(float(q), 3) for q in np.quantile(numerator / denominator, [0.25, 0.5, 0.75]))
    return {"median": middle, "quartiles": [low, high], "rounds": len(numerator)}


def machine(*packages: str) -> dict[str, Any]:
    """Return processor, Python and the versions of packages."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    versions = {name: importlib.metadata.version(name) for name in ("mlip-keel", "torch", "numba", *packages)}
    return {"cpu": cpu, "python": platform.python_version(), "versions": versions}
