"""Results of the tasks of a run that measure a trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.atoms.units import GPA
from keel.atoms.write import write
from keel.errors import DataError
from keel.evaluation.equilibrium.squeeze import Squeezed
from keel.evaluation.labels.by_contact import ContactErrors
from keel.potentials.accuracy import Parity
from keel.records import checked, read_groups, read_object, read_text, write_csv, write_json
from keel.results.curves import read_curves, redo, write_curves

Number = float | None
CONTACT_COLUMNS = tuple(f.name for f in fields(ContactErrors))
COLUMNS = ("length", "volume", "energy", "pressure")
"""Columns of a crystal under compression."""


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors on the test frames, by the names of :meth:`keel.evaluation.Accuracy.to_dict`, and a sample of them.

    ``parity`` has predictions and labels of ``energy`` (eV/atom), ``forces`` (eV/angstrom) and ``stress``
    (eV/angstrom^3), as far as there are labels.
    """

    errors: Mapping[str, Any]
    parity: Mapping[str, Parity]

    def write(self, folder: Path) -> None:
        """Leave it in a folder."""
        write_json(folder / "accuracy.json", self.errors)
        pairs = {name: (p.reference.ravel(), p.prediction.ravel()) for name, p in self.parity.items()}
        write_csv(
            folder / "parity.csv",
            ("quantity", "reference", "prediction"),
            ((name, *row) for name, columns in pairs.items() for row in zip(*columns, strict=True)),
            digits=7,
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` left; DataError if a file is absent or damaged, also below."""
        errors = read_object(folder / "accuracy.json", ("force_mae_mev_per_angstrom",), redo(folder))
        groups = read_groups(folder / "parity.csv", "quantity", ["reference", "prediction"], redo(folder))
        return cls(errors, {name: Parity(**columns) for name, columns in groups.items()})


@dataclass(frozen=True, eq=False)
class Contacts:
    """Errors on the test frames by how close atoms are, by :data:`keel.evaluation.labels.by_contact.UNITS`."""

    quantities: Mapping[str, ContactErrors]

    def write(self, folder: Path) -> None:
        """Leave it in a folder."""
        rows = ((name, *row.values()) for name, found in self.quantities.items() for row in found.rows)
        write_csv(folder / "contacts.csv", ("quantity", *CONTACT_COLUMNS), rows, digits=7)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` left."""
        found = read_groups(folder / "contacts.csv", "quantity", CONTACT_COLUMNS, redo(folder))
        return cls({name: ContactErrors(**columns) for name, columns in found.items()})


@dataclass(frozen=True, eq=False)
class StabilityRuns:
    """MD runs of one network; a survivor has the length of the runs as its time, and the cause None.

    ``sources`` names the structure from which each run started, ``close_contacts_per_1000_atoms`` is what
    :func:`keel.evaluation.close_contacts` found on the way, ``failures`` are the frames before each failure.
    """

    md_temperature_k: float
    md_timestep_fs: float
    md_friction_per_fs: float
    md_length_fs: float
    time_to_failure_fs: Sequence[float]
    failure_cause: Sequence[str | None]
    sources: Sequence[str] = ()
    close_contacts_per_1000_atoms: Number = None
    failures: Sequence[Frame] = ()

    @property
    def summary(self) -> dict[str, Any]:
        """Their entries in a summary, by name."""
        left_out = ("sources", "failures")
        entries = {name: value for name, value in vars(self).items() if name not in left_out}
        return entries | {name: tuple(entries[name]) for name in ("time_to_failure_fs", "failure_cause")}

    def write(self, folder: Path) -> None:
        """Leave it in a folder."""
        write_json(folder / "stability.json", {k: v for k, v in vars(self).items() if k != "failures"})
        path = folder / "failures.extxyz"
        if self.failures:
            write(path, self.failures)
        else:
            path.touch()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` left."""
        path = folder / "stability.json"
        known = [f.name for f in fields(cls) if f.name != "failures"]
        content = read_object(path, ("time_to_failure_fs", "failure_cause"), redo(path.parent))
        runs: dict[str, Any] = {name: content.get(name) for name in known}
        sources = content.get("sources") or []
        if not isinstance(sources, list) or len(sources) not in (0, len(content["time_to_failure_fs"])):
            raise DataError(f"{path}: sources must name the start of each of its runs; {redo(path.parent)}")
        runs["sources"] = tuple(map(str, sources))
        return cls(**runs, failures=_read_frames(folder / "failures.extxyz"))


@dataclass(frozen=True, eq=False)
class RadialDistribution:
    """g(r) of one pair of elements, reference (DFT) and simulation, against r in angstrom; NaN without reference."""

    r: Array
    reference: Array
    simulation: Array


@dataclass(frozen=True, eq=False)
class RadialDistributions:
    """g(r) of MD at the temperature of the data, by pair.

    ``errors`` is how far each is from the reference, ``floor`` how far two halves of the reference are apart:
    ``{"fu": angstrom, "percent": %}`` by pair, see :func:`keel.evaluation.rdf_error`. ``failed_runs`` counts the runs
    that ended early.
    """

    temperature_k: float
    failed_runs: int
    errors: Mapping[str, Mapping[str, Number]]
    floor: Mapping[str, Mapping[str, Number]]
    curves: Mapping[str, RadialDistribution]

    def write(self, folder: Path) -> None:
        """Leave it in a folder."""
        write_json(folder / "rdf.json", {k: v for k, v in vars(self).items() if k != "curves"})
        write_curves(folder / "rdf.csv", RadialDistribution, self.curves)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` left."""
        content = read_object(folder / "rdf.json", ("temperature_k", "failed_runs", "errors"), redo(folder))
        return cls(
            temperature_k=content["temperature_k"],
            failed_runs=content["failed_runs"],
            errors=content["errors"] or {},
            floor=content.get("floor") or {},
            curves=read_curves(folder / "rdf.csv", RadialDistribution),
        )


@dataclass(frozen=True, eq=False)
class Dimer:
    """A dimer curve: energy in eV and force in eV/angstrom against r in angstrom."""

    r: Array
    energy: Array
    force: Array


@dataclass(frozen=True, eq=False)
class Dimers:
    """Dimer curves by pair, with their metrics (:mod:`keel.evaluation.clusters.dimer_metrics`)."""

    curves: Mapping[str, Dimer]
    metrics: Mapping[str, Mapping[str, Number]]

    def write(self, folder: Path) -> None:
        """Leave it in a folder."""
        write_curves(folder / "dimers.csv", Dimer, self.curves)
        write_json(folder / "dimers.json", self.metrics)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` left."""
        return cls(read_curves(folder / "dimers.csv", Dimer), read_object(folder / "dimers.json", (), redo(folder)))


@dataclass(frozen=True, eq=False)
class Squeeze:
    """Crystals under uniform compression."""

    crystals: Sequence[Squeezed]

    def write(self, folder: Path) -> None:
        """Leave it in a folder: the curves, and the first fall of each pressure (in GPa, null where it only rises)."""
        rows = ((s.name, *row) for s in self.crystals for row in zip(*(getattr(s, c) for c in COLUMNS), strict=True))
        write_csv(folder / "squeeze.csv", ("crystal", *COLUMNS), rows)
        write_json(folder / "squeeze.json", {"crystals": [_summary(s) for s in self.crystals]})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` left."""
        path = folder / "squeeze.json"
        content = read_object(path, ("crystals",), redo(path.parent))["crystals"]
        squeezed = [checked(crystal, ("name", "source"), str(path), redo(folder)) for crystal in content]
        curves = read_groups(folder / "squeeze.csv", "crystal", COLUMNS, redo(folder))
        if absent := [s["name"] for s in squeezed if s["name"] not in curves]:
            raise DataError(f"{folder / 'squeeze.csv'} lacks {absent[0]}; {redo(folder)}")
        return cls(tuple(Squeezed(s["name"], s["source"], **curves[s["name"]]) for s in squeezed))


def _summary(crystal: Squeezed) -> dict[str, Any]:
    fall = crystal.first_fall
    return {
        "name": crystal.name,
        "source": crystal.source,
        "first_fall_length": fall,
        "first_fall_volume": None if fall is None else fall**3,
        "deepest_fall_gpa": crystal.deepest_fall / GPA,
    }


def _read_frames(path: Path) -> tuple[Frame, ...]:
    """Return the structures of an extxyz file, which may be empty; labels are left out."""
    import ase.io

    if not read_text(path, redo(path.parent)).strip():
        return ()
    try:
        images = ase.io.read(path, index=":", format="extxyz")
    except Exception as error:  # ASE raises many kinds for a damaged file
        raise DataError(f"{path} is not a readable extxyz file ({error}); {redo(path.parent)}") from None
    return tuple(
        Frame(
            numbers=atoms.numbers,
            positions=atoms.positions,
            cell=np.asarray(atoms.cell),
            pbc=np.asarray(atoms.pbc),
            info=dict(atoms.info),
            source=f"{path}, frame {index}",
        )
        for index, atoms in enumerate(images)
    )
