"""What a potential says of a batch of structures."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from keel.showing import Facts, Shown


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Shown):
    """What a potential says of a batch of B structures and N atoms.

    Parameters
    ----------
    energy
        Total energies in eV, float64, shape (B,).
    forces
        Forces in eV/angstrom, shape (N, 3), or None if not asked for.
    stress
        Stress in eV/angstrom^3 (ASE's sign), shape (B, 3, 3); NaN for structures that are not periodic in three
        directions; None if not asked for.
    atomic_energies
        Share of each atom in the total energy in eV, float64, shape (N,).
    """

    energy: Tensor
    forces: Tensor | None
    stress: Tensor | None
    atomic_energies: Tensor

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        energies = self.energy.detach()
        low, high = float(energies.min()), float(energies.max())
        force = None if self.forces is None else float(self.forces.detach().norm(dim=1).max())
        return {
            "structures": f"{len(energies):,}",
            "atoms": f"{len(self.atomic_energies):,}",
            "energy": f"{low:.4f} eV" if low == high else f"{low:.4f} to {high:.4f} eV",
            **({} if force is None else {"largest force": f"{force:.4g} eV/angstrom"}),
        }


def detached(prediction: Prediction) -> Prediction:
    """Return the prediction without its autograd history."""
    return Prediction(
        energy=prediction.energy.detach(),
        forces=None if prediction.forces is None else prediction.forces.detach(),
        stress=None if prediction.stress is None else prediction.stress.detach(),
        atomic_energies=prediction.atomic_energies.detach(),
    )
