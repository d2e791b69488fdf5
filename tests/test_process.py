"""Settings of the process that make computing faster."""

import platform
import subprocess
import sys

import pytest
import torch

from keel.process import give_back_freed_memory, keep_freed_memory

SCRIPT = """
import resource, torch
from keel.process import give_back_freed_memory, keep_freed_memory
torch.set_num_threads(1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        kept = [torch.ones(6_000_000) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
keep_freed_memory()
faults()
after = faults()
give_back_freed_memory()
print(before, after, faults())
"""


def test_the_command_line_sets_up_the_process_before_pytorch_is_loaded():
    """Threads that wait by spinning take the cores from each other; PyTorch asks once, when it is loaded."""
    script = (
        "import os, sys, typer.testing; from keel.cli import app; assert 'torch' not in sys.modules; "
        "typer.testing.CliRunner().invoke(app, ['dimers', 'absent.json']); "
        "assert 'torch' in sys.modules; print(os.environ['OMP_WAIT_POLICY'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "PASSIVE"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it counts from the start of the process")
def test_the_peak_of_memory_is_that_of_the_work_since():
    """1 GB, then 100 MB."""
    script = (
        "import torch; from keel.process import forget_peak_memory, give_back_freed_memory, peak_memory_mb\n"
        "for size in (1000, 100):\n"
        "    give_back_freed_memory(); forget_peak_memory(); before = peak_memory_mb()\n"
        "    large = torch.ones(size << 20, dtype=torch.uint8); print(peak_memory_mb() - before); del large\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [float(word) for word in done.stdout.split()] == pytest.approx([1000, 100], abs=30)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_is_not_fetched_again():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    before, after, again = map(int, done.stdout.split())
    assert after < before / 5
    assert again > 2 * after + 1000


def test_without_that_function(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    keep_freed_memory.cache_clear()
    keep_freed_memory()
    give_back_freed_memory()
    keep_freed_memory.cache_clear()
    assert float(torch.ones(3).sum()) == 3
