"""Fixtures shared by all tests."""

import gc
import os

# Threads of a BLAS wait by spinning: where tests run side by side, small matrices would take tens of times as long.
# Read when NumPy, SciPy and PyTorch are loaded, here and in all processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

import keel.datasets
from undrawn import undrawn

torch.set_num_threads(1)

# No property fails because a machine is busy: neither an example nor the drawing of examples has a time limit. And each
# run tries the same examples: a failure can be repeated anywhere, and is due to the change that is tested.
settings.register_profile("keel", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("keel")

# Half of all data sets that tests take are the same one: it is read and checked once in each process.
keel.datasets._load = cache(keel.datasets._load)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: no search for garbage, neither now nor later, need go through it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """The command line flushes denormal numbers in its process; a test that runs it must not change the next one."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session", autouse=True)
def _undrawn() -> Iterator[None]:
    """Leave the figures of pages empty, but where a test has them drawn."""
    with undrawn():
        yield


@pytest.fixture
def avx2() -> Iterator[None]:
    """What is compiled here is for AVX2, or uses no vectors where there is none; no program is tried to learn more."""
    from torch._inductor import config

    with config.patch({"cpp.simdlen": 256, "cpp.vec_isa_ok": True}):
        yield


@pytest.fixture(params=[False, True], ids=["careful", "quick"])
def each_xyz_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Extended XYZ is read by the careful reader, then by the one in machine code, which is for large files."""
    monkeypatch.setattr("keel.atoms.formats.xyz_files.PAYS_FROM", 0 if request.param else 1 << 40)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with real DFT data: $KEEL_DATA or ../shared/data; skipped where absent, an error on CI."""
    folder = Path(os.environ.get("KEEL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{folder} is absent; set KEEL_DATA")
        pytest.skip(f"{folder} is absent; set KEEL_DATA to test on real data")
    return folder
