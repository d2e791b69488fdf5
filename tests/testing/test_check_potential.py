"""What a user of ``check_potential`` meets: potentials without tensors, two modes, a bar; and what it is tried on."""

from __future__ import annotations

import io
import re
import warnings
from copy import deepcopy
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

import keel
from keel import progress
from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError
from keel.potentials import PairPotential, Potential, SumPotential
from keel.potentials.convert import converted
from keel.testing import STRUCTURES, PotentialContract, check_potential, trial_frames
from keel.testing.checks import stress
from keel.testing.modes import in_each_mode
from keel.testing.trials import TRIALS
from small_potentials import Soft, cgcnn, m3gnet, torchmd_et


class HookeSpring(PairPotential):
    """phi(r) = k (1 - r / cutoff)^4, whose constants are plain numbers."""

    def __init__(self, k: float = 2.0, cutoff: float = 3.0) -> None:
        super().__init__(cutoff)
        self.k = k

    def config(self) -> dict[str, Any]:
        return {"k": self.k, "cutoff": self.cutoff}

    def pair_energy(self, r: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        x = 1 - r / self.cutoff
        return self.k * x**4, -4 * self.k / self.cutoff * x**3


class TestOfPlainNumbers(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return HookeSpring()


def test_a_slab_without_volume_causes_no_warning() -> None:
    """Its stress does not exist, so there is nothing to compare."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stress(HookeSpring(), trial_frames("slab", [14], 3.0))


class TestDtypeWithoutTensors:
    def test_it_is_that_of_the_last_cast(self) -> None:
        spring = HookeSpring()
        assert spring.dtype == torch.get_default_dtype() == torch.float32
        assert spring.double().dtype == deepcopy(spring).dtype == torch.float64
        assert converted(spring, "float64") is spring and converted(spring, "float32").dtype == torch.float32
        frames = trial_frames("periodic", (8, 14), spring.cutoff)
        assert spring(keel.batch(frames, spring.cutoff, dtype=torch.float32)).forces.dtype == torch.float64

    def test_a_move_does_not_change_it(self) -> None:
        spring = HookeSpring().double().to(torch.device("cpu"))
        assert spring.dtype == spring.energy_offsets.dtype == torch.float64

    def test_files_hold_what_they_held(self) -> None:
        assert list(HookeSpring().state_dict()) == ["energy_offsets"]
        assert list(SumPotential([HookeSpring()]).state_dict()) == ["energy_offsets", "members.0.energy_offsets"]

    def test_tensors_decide_where_there_are_some(self) -> None:
        assert SumPotential([HookeSpring().double(), Soft()]).dtype == torch.float32
        assert SumPotential([HookeSpring().double(), HookeSpring().double()]).dtype == torch.float64
        check_potential(SumPotential([HookeSpring(), Soft()]))


def neighbours(graph: AtomGraph) -> Tensor:
    return torch.bincount(graph.edge_index[0], minlength=graph.n_atoms).to(graph.positions.dtype)


class TwoModes(Soft):
    """Has weights that only one mode has, and counts neighbours in its reference mode."""

    def __init__(self, mode: str = "smooth", jump: float = 1.0, only: str = "") -> None:
        if only not in ("", mode):
            raise ConfigError(f"these options are of mode {only}")
        super().__init__()
        self.mode, self.jump, self.only = mode, jump, only
        if mode == "reference":
            self.shift = nn.Parameter(torch.randn(()))

    def config(self) -> dict[str, Any]:
        return {"mode": self.mode, "jump": self.jump, "only": self.only}

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        energies = super().atomic_energies(graph, vectors)
        if self.mode == "smooth":
            return energies
        return energies + self.shift + self.jump * neighbours(graph)


class TestModes:
    @pytest.mark.parametrize("own", ["smooth", "reference"])
    def test_both_are_tried(self, own: str, monkeypatch: pytest.MonkeyPatch) -> None:
        tried = []
        monkeypatch.setattr("keel.testing.attempt", lambda trial, potential, mode: tried.append((trial.check, mode)))
        check_potential(TwoModes(own))
        other = {"smooth": "reference", "reference": "smooth"}[own]
        assert list(dict.fromkeys(mode for _, mode in tried)) == [own, other]
        smooth, reference = ({check for check, m in tried if m == mode} for mode in ("smooth", "reference"))
        assert smooth == {trial.check for trial in TRIALS} and smooth - reference == {"smooth_cutoff"}

    def test_only_the_reference_may_jump(self) -> None:
        check_potential(TwoModes())

        class Jumping(TwoModes):
            """Takes no heed of its mode."""

            def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
                return super().atomic_energies(graph, vectors) + neighbours(graph)

        with pytest.raises(AssertionError, match=r"^Jumping in smooth mode fails 'smooth_cutoff': "):
            check_potential(Jumping())

    def test_a_flaw_of_the_other_mode_is_found(self) -> None:
        class Flawed(TwoModes):
            def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
                energies = super().atomic_energies(graph, vectors)
                return energies if self.mode == "smooth" else energies + graph.positions[:, 0]

        with pytest.raises(AssertionError, match=r"^Flawed in reference mode fails 'translation' on 'periodic'"):
            check_potential(Flawed())
        check_potential(Flawed(), ["reference"])

    def test_the_twin_has_the_same_weights_and_leaves_no_trace(self) -> None:
        own = TwoModes().double().eval()
        own.set_offsets({8: -430.0})
        nn.init.constant_(own.strength, 0.3)
        state = torch.get_rng_state()
        twin = in_each_mode(own)["reference"]
        assert torch.equal(twin.strength, own.strength) and torch.equal(twin.offsets(), own.offsets())
        assert twin.dtype == torch.float64 and not twin.training
        assert torch.equal(twin.shift, in_each_mode(own)["reference"].shift)
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize(
        ("potential", "modes"),
        [
            (Soft(), [""]),
            (cgcnn(), ["smooth", "reference"]),
            (m3gnet(mode="reference"), ["reference", "smooth"]),
            (torchmd_et(), ["smooth", "reference"]),
            # Without vector_cutoff there is no smooth mode.
            (torchmd_et(mode="reference"), ["reference"]),
            (TwoModes(only="smooth"), ["smooth"]),
            (SumPotential([cgcnn(), HookeSpring()]), [""]),
        ],
    )
    def test_who_has_them(self, potential: Potential, modes: list[str]) -> None:
        assert list(in_each_mode(potential)) == modes

    def test_a_mode_that_cannot_be_built_is_one_sentence(self) -> None:
        class Claims(Soft):
            mode = "smooth"

            def config(self) -> dict[str, Any]:
                return {"mode": "smooth"}

        with pytest.raises(AssertionError, match=r"names a mode, but Claims\(mode='reference'\) raises TypeError: "):
            check_potential(Claims())


class TestProgress:
    @pytest.fixture
    def shown(self, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
        shown = io.StringIO()
        monkeypatch.setattr(progress, "console", Console(file=shown, force_terminal=True, width=140))
        return shown

    def test_a_terminal_shows_what_is_tried(self, shown: io.StringIO) -> None:
        check_potential(cgcnn())
        # Which of the trials stand there for long enough to be drawn, the machine decides; the last one always does.
        assert "testing CGCNN" in shown.getvalue() and re.search(r"'\w+', reference mode", shown.getvalue())

    def test_nothing_is_shown_where_that_is_asked_or_there_is_no_terminal(
        self, shown: io.StringIO, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        check_potential(HookeSpring(), silent=True)
        monkeypatch.setattr(progress, "console", Console(stderr=True))
        check_potential(HookeSpring())
        assert (shown.getvalue(), *capsys.readouterr()) == ("", "", "")


class TestStructures:
    @pytest.mark.parametrize("cutoff", [1.0, 3.0, 5.0, 8.0])
    @pytest.mark.parametrize("elements", [(1,), (8, 14), (1, 6, 8), (55,)])
    def test_no_distance_is_at_the_cutoff_and_neighbours_are_few(
        self, elements: tuple[int, ...], cutoff: float
    ) -> None:
        for name in STRUCTURES:
            for frame in trial_frames(name, elements, cutoff):
                graph = keel.batch(frame, 1.01 * cutoff, dtype=torch.float64)
                r = torch.linalg.vector_norm(graph.edge_vectors(), dim=1)
                # Finite differences move it by 1e-4 of itself.
                assert not ((r - cutoff).abs() < 4e-4 * cutoff).any()
                assert graph.n_edges / len(frame) < 350
