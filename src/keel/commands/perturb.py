"""``keel perturb``: structures far beyond the data, labelled by a teacher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keel.commands.potential_options import WHAT, Arguments, Trust, opened
from keel.errors import DataError
from keel.kinds import FRAMES_FILE, writable
from keel.ranges import Bonds, Distance, EnergyCap, ForceCap, Rounds, Seed, Share, Strain

if TYPE_CHECKING:
    from keel.atoms.frame import Frame


def perturb(
    files: Annotated[list[Path], typer.Argument(help="Parent structures, labelled or not; use training frames only.")],
    teacher: Annotated[str, typer.Option(help=f"The potential that labels the perturbed structures. {WHAT}")],
    out: Annotated[Path, FRAMES_FILE, typer.Option(help=f"File for the perturbed structures: {writable()}.")],
    index: Annotated[str | None, typer.Option(help="Which parents, as a slice such as :100 or ::10.")] = None,
    rounds: Annotated[Rounds | None, typer.Option(help="Children of each parent, one in each round.")] = None,
    displacement: Annotated[
        tuple[Distance, Distance] | None,
        typer.Option(help="Displacement of every atom in the first and in the last round, in Å."),
    ] = None,
    pair_fraction: Annotated[Share | None, typer.Option(help="Share of the atoms that get a new distance.")] = None,
    pair_range: Annotated[
        tuple[Bonds, Bonds] | None, typer.Option(help="Range of that distance, in units of the sum of covalent radii.")
    ] = None,
    strain: Annotated[Strain | None, typer.Option(help="Largest principal strain of the cell.")] = None,
    force_cap: Annotated[
        ForceCap | None, typer.Option(help="Largest force in eV/Å; structures beyond are left out; inf: no limit.")
    ] = None,
    energy_cap: Annotated[
        EnergyCap | None, typer.Option(help="Largest energy above the parent in eV/atom; likewise.")
    ] = None,
    seed: Annotated[Seed, typer.Option(help="Seed of all random choices.")] = 0,
    arguments: Arguments = "{}",
    trust: Trust = False,
) -> None:
    """Write perturbed copies of some structures with the energies, forces and stresses of a teacher.

    In each round the cell is strained at random, every atom is displaced in a random direction by the length of that
    round, and some atoms are moved to a new distance from a nearby atom. Children beyond a cap are left out and
    counted. (Pretraining makes the same structures internally; the file is for inspection and for other tools.)

    Example: keel perturb train.extxyz --teacher eam.json --out perturbed.extxyz
    """
    from keel.atoms.read import read
    from keel.atoms.write import write
    from keel.files import check_not_input
    from keel.perturbation import Counts, PerturbationSettings
    from keel.perturbation import perturb as children_of
    from keel.progress import bar, console
    from keel.settings import parse_given

    given = {
        "rounds": rounds,
        "displacement": displacement,
        "pair_fraction": pair_fraction,
        "pair_range": pair_range,
        "strain": strain,
        "force_cap": force_cap,
        "energy_cap": energy_cap,
    }
    settings = parse_given(PerturbationSettings, given, "keel perturb")
    check_not_input(out, files)
    potential = opened(teacher, arguments, trust)
    frames = read(files, index=index, labels=False)
    counts = Counts.zero(settings.rounds)
    with bar("perturbing", len(frames)) as advance:

        def parents() -> Iterator[Frame]:
            for done, frame in enumerate(frames):
                advance(done, len(frames))
                yield frame

        def children() -> Iterator[Frame]:
            yield from children_of(parents(), potential, settings, seed, counts)
            if frames and not counts.kept.any():
                raise DataError(
                    f"every perturbed structure is beyond a cap ({counts}); raise --force-cap or --energy-cap"
                )

        written = write(out, children())
    console.print(f"{counts}; {written} written to {out}", soft_wrap=True)
