"""Compiled networks: the same numbers, forces and their gradients too, and a plain word where nothing compiles."""

import math
import os
import subprocess
import sys
import warnings

import pytest
import torch
from torch.utils._pytree import tree_map

import keel
from keel.errors import KeelWarning
from keel.potentials.base import Potential
from keel.potentials.compiling import compiled
from keel.potentials.compiling.compiled import compiling, obstacle
from keel.potentials.networks import layered
from tiny_run import FEW

FRAMES = keel.read(FEW)
needs_compiler = pytest.mark.skipif(obstacle(torch.device("cpu")) is not None, reason="there is no C++ compiler")

# One process imports the compiler for all of this group.
pytestmark = pytest.mark.xdist_group("compiling")


def network(elements=("P",)) -> keel.CGCNN:
    torch.manual_seed(0)
    return keel.CGCNN(elements, cutoff=4.0, features=8, convolutions=1, gaussians=8, hidden=8)


def gradients(potential: Potential, graph: keel.AtomGraph) -> list[torch.Tensor]:
    prediction = potential(graph, differentiable=True)
    value = prediction.forces.square().sum() + prediction.energy.sum() + prediction.stress.square().sum()
    return list(torch.autograd.grad(value, list(potential.parameters()), allow_unused=True))


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("avx2")
class TestTheSameNumbers:
    """One test compiles, once for inference and once for training: each takes many seconds."""

    def test_as_eager_for_batches_of_any_size(self):
        potential = keel.SumPotential([network(), keel.ZBL(elements=["P"])])
        for n in (1, 3, 2):
            graph = keel.batch(FRAMES[:n], 4.0)
            eager, slopes = potential(graph), gradients(potential, graph)
            with warnings.catch_warnings(), compiling(potential, True, 0):
                warnings.simplefilter("error", KeelWarning)
                assert potential.members[0].compiled
                fast, fast_slopes = potential(graph), gradients(potential, graph)
            torch.testing.assert_close(fast.energy, eager.energy, rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(fast.forces, eager.forces, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(fast.stress, eager.stress, rtol=1e-4, atol=1e-7)
            for a, b in zip(slopes, fast_slopes, strict=True):
                torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-4 * float(a.abs().max()))

    def test_code_that_a_killed_process_left_damaged_is_made_again(self, tmp_path):
        # Code for any processor compiles sooner, and for a loop or two it does not pay to compile headers first.
        told = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "TORCHINDUCTOR_VEC_ISA_OK": "0"}
        told["TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS"] = "0"
        done = subprocess.run([sys.executable, "-c", TWICE], env=os.environ | told, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        first, folder, damaged, again, other = done.stdout.split()
        assert int(damaged) > 0 and folder == str(tmp_path)
        assert float(again) == pytest.approx(float(first)) == pytest.approx(30 * math.sin(2))
        assert other != str(tmp_path), "the damaged code was not noticed"


# Two processes, one after the other, which need the compiler imported only once.
TWICE = """
import os, pathlib, torch, torch._inductor.compile_fx
from keel.potentials.compiling.compiled import compiled

def compiled_by_a_child():
    child = os.fork()
    if child == 0:
        print(float(compiled(lambda x: (2 * x).sin().sum(), torch.ones(30))))
        print(os.environ["TORCHINDUCTOR_CACHE_DIR"], flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

compiled_by_a_child()
libraries = list(pathlib.Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).rglob("*.so"))
for library in libraries:
    library.write_bytes(b"")
print(len(libraries), flush=True)
compiled_by_a_child()
"""


class TestWhere:
    def states(self, wanted, atom_steps):
        potential = network()
        with compiling(potential, wanted, atom_steps):
            inside = potential.compiled
        return inside, potential.compiled

    def test_on_request_or_where_it_pays(self, monkeypatch):
        monkeypatch.setattr(compiled, "obstacle", lambda device: None)
        assert self.states(True, 0) == (True, False)
        assert self.states(False, 1e12) == (False, False)
        assert self.states(None, compiled.PAYS_FROM) == (True, False)
        assert self.states(None, compiled.PAYS_FROM - 1) == (False, False)

    def test_eager_again_after_an_error(self, monkeypatch):
        monkeypatch.setattr(compiled, "obstacle", lambda device: None)
        potential = network()
        with pytest.raises(KeyError), compiling(potential, True, 0):
            raise KeyError
        assert not potential.compiled

    def test_without_a_compiler(self, monkeypatch):
        monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
        assert self.states(None, 1e12) == (False, False)
        with pytest.warns(KeelWarning, match="no C\\+\\+ compiler; install g\\+\\+"):
            assert self.states(True, 0) == (False, False)

    def test_what_is_no_network_is_left_alone(self):
        with warnings.catch_warnings(), compiling(keel.LennardJones(), True, 1e12):
            warnings.simplefilter("error")

    def test_tiny_batches_stay_eager(self, monkeypatch):
        monkeypatch.setattr(compiled, "obstacle", lambda device: None)
        monkeypatch.setattr(compiled, "_version", lambda function: pytest.fail("compiled"))
        potential, atom = network(), keel.Frame([15], [[0.0, 0.0, 0.0]])
        with compiling(potential, True, 0):
            assert potential(keel.batch([atom], 4.0)).forces.shape == (1, 3)

    @pytest.mark.parametrize("training", [False, True])
    def test_a_compiler_that_errs_is_found_out(self, training, monkeypatch):
        """Wrong derivatives with respect to the parameters, as of sums that are read too early, or wrong forces."""
        monkeypatch.setattr(compiled, "obstacle", lambda device: None)

        def wrong(function):
            def version(net, edges, vectors):
                energies, gradient = function(net, edges, vectors)
                missing = gradient[::2] if training else gradient[::2] / 1.01
                return energies, torch.stack([missing.detach(), gradient[1::2]], dim=1).reshape(gradient.shape)

            return version

        monkeypatch.setattr(compiled, "_version", wrong)
        potential, graph = network(), keel.batch(FRAMES[0], 4.0)
        expected = gradients(potential, graph) if training else [potential(graph).forces]
        with compiling(potential, True, 0):
            with pytest.warns(KeelWarning, match="wrong numbers for this CGCNN"):
                found = gradients(potential, graph) if training else [potential(graph).forces]
            assert not potential.compiled
        for a, b in zip(found, expected, strict=True):
            assert torch.equal(a, b)
        with warnings.catch_warnings(), compiling(potential, True, 0):
            warnings.simplefilter("error")
            potential(graph, differentiable=training)  # said once

    def test_an_error_in_layers_is_found_out_in_a_large_batch(self, monkeypatch):
        """What is compared is the code that the batch needs, not that of the few edges of the comparison."""
        monkeypatch.setattr(compiled, "obstacle", lambda device: None)

        def wrong(function):
            if function is not layered.pullback:
                return function
            return lambda *arguments: tree_map(lambda x: 1.01 * x, function(*arguments))

        monkeypatch.setattr(compiled, "_version", wrong)
        monkeypatch.setattr(keel.potentials.networks.network, "PROVEN_EDGES", 100)
        potential, graph = network(), keel.batch(FRAMES[0], 4.0)
        expected = potential(graph).forces
        potential.many_edges = 150  # of 258 pairs
        with compiling(potential, True, 0):
            with pytest.warns(KeelWarning, match="wrong numbers for this CGCNN"):
                found = potential(graph).forces
            assert not potential.compiled
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)

    def test_many_threads(self, monkeypatch):
        """The loops of compiled code run on one thread."""
        monkeypatch.setattr(compiled, "obstacle", lambda device: None)
        monkeypatch.setattr(torch, "get_num_threads", lambda: compiled.MOST_THREADS + 1)
        assert self.states(None, 1e12) == (False, False)
        assert self.states(True, 0) == (True, False)

    def test_a_compiler_that_fails_is_named_once_and_done_without(self, monkeypatch):
        monkeypatch.setattr(compiled, "obstacle", lambda device: None)

        def fails(*arguments):
            raise torch._dynamo.exc.Unsupported("no such luck")

        monkeypatch.setattr(compiled, "_version", lambda function: fails)
        monkeypatch.setattr(compiled, "_forget", lambda: None)
        potential, graph = network(), keel.batch(FRAMES[0], 4.0)
        with compiling(potential, True, 0):
            with pytest.warns(KeelWarning, match="slower but equally correct"):
                first = potential(graph)
            assert not potential.compiled
            assert torch.equal(potential(graph).forces, first.forces)
