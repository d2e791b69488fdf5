"""Opening any potential by its name.

Commands, configurations, :class:`keel.KeelCalculator` and Python open potentials here and nowhere else; files of keel
are read by :func:`keel.load`, which is a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch

from keel.errors import ConfigError, DataError, KeelError, UnavailableError
from keel.identity import of_file, of_named_files
from keel.kinds import KEEL_SUFFIXES, PICKLED_SUFFIXES, POTENTIALS, TRAINED
from keel.potentials.base import Potential
from keel.potentials.external.recognised import OWN_FUNCTION, direction, holds_weights_alone, modules_in
from keel.potentials.loading import load
from keel.wording import a

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


class HasPotential(Protocol):
    """What a fit or a training returns, and a calculator of keel."""

    @property
    def potential(self) -> Potential:
        """The potential."""


Given: TypeAlias = "Potential | str | Path | HasPotential | Calculator"
"""What :func:`open_potential` takes."""

FILE_SUFFIXES = (*KEEL_SUFFIXES, *PICKLED_SUFFIXES, ".ckpt")
"""Names with these endings are file names, whether the file exists or not."""


def open_potential(name: Given, arguments: Mapping[str, Any] | None = None, *, trust: bool = False) -> Potential:
    """Return a potential.

    Parameters
    ----------
    name
        A file of keel (``.safetensors``, ``.json``), a MACE model (``.model``), the folder of a model of matgl, or
        the import path of an ASE calculator, such as ``"ase.calculators.emt.EMT"``, or of a function that returns one.
        A ``Path`` is a file or folder, never a calculator. Also a potential, which is returned as it is, the result of
        a fit or of a training, or an ASE calculator.
    arguments
        Of a named calculator; of a MACE model with several heads ``{"head": "..."}``.
    trust
        Read a file of another package that runs code when it is read, as those of mace-torch do. Files of keel never
        do, nor do those of matgl, of which only numbers and settings are read.

    Raises
    ------
    ConfigError
        If there is no such calculator, arguments are given to an object, or a file runs code and is not trusted.
    DataError
        If there is no such file, or it is damaged or not a potential, or something else is given.
    UnavailableError
        If it needs a package that is not installed.

    Examples
    --------
    >>> from ase.build import bulk
    >>> import keel
    >>> emt = keel.open_potential("ase.calculators.emt.EMT")
    >>> emt(keel.batch(bulk("Cu", cubic=True), cutoff=5.0)).forces.shape
    torch.Size([4, 3])
    """
    if not isinstance(name, str | PathLike):
        return _held(name, arguments)
    name = name if isinstance(name, str) else Path(name)
    if is_calculator(name):
        potential = _calculator(str(name), arguments)
    else:
        head = _head(Path(name), arguments)
        potential = _from_file(Path(name), trust, head)
    potential.source = str(name)
    return potential


def _held(given: Any, arguments: Mapping[str, Any] | None) -> Potential:
    """Return the potential that an object is, has or calculates with."""
    potential = given if isinstance(given, Potential) else getattr(given, "potential", None)
    if not isinstance(potential, Potential) and hasattr(given, "get_property") and hasattr(given, "results"):
        from keel.potentials.external.ase import ASEPotential

        potential = ASEPotential(given)
    if isinstance(given, type) or not isinstance(potential, Potential):
        what = "nothing (None)" if given is None else a(type(given).__name__)
        what = f"the class {given.__name__}" if isinstance(given, type) else what
        raise DataError(
            f"{what} was given where a potential is expected; give a potential of keel or an ASE calculator, or name "
            f"{POTENTIALS}"
        )
    if arguments:
        raise ConfigError(f"arguments belong to a named calculator; give them to {type(given).__name__} itself")
    return potential


@dataclass(frozen=True)
class Opening:
    """How a potential is opened, in whichever process; the arguments of :func:`open_potential`.

    Parameters
    ----------
    name, arguments, trust
        See :func:`open_potential`.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    trust: bool = False

    def open(self) -> Potential:
        """Return the potential, see :func:`open_potential`."""
        return open_potential(self.name, self.arguments, trust=self.trust)

    @property
    def label(self) -> str:
        """Its name in tables and of its results; the name of its folder if a training named the file."""
        if is_calculator(self.name):
            return self.name
        path = Path(self.name)
        return path.resolve().parent.name if path.name == TRAINED else path.stem

    @property
    def identity(self) -> dict[str, Any]:
        """What results depend on, JSON-compatible."""
        path, files = Path(self.name), of_named_files(self.arguments)
        known = {"name": path.name, "arguments": dict(self.arguments), "content": contents(path)}
        return known | ({"files": files} if files else {})


def contents(path: Path) -> list[str]:
    """Return the hash of a file or of each file in a folder, by their names; empty where there is nothing."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path] * path.is_file()
    return [of_file(p) for p in files]


def is_calculator(name: str | Path) -> bool:
    """Whether a name is an import path rather than a file."""
    if isinstance(name, Path) or Path(name).exists() or name.endswith(FILE_SUFFIXES):
        return False
    return "." in name and all(part.isidentifier() for part in name.split("."))


def _calculator(name: str, arguments: Mapping[str, Any] | None) -> Potential:
    from keel.potentials.external.torchsim import around

    try:
        return around(name, arguments)
    except UnavailableError as error:
        own = f"{name.split('.')[0]}.py"
        hint = f"; name the program with --plugin {own}" if Path(own).exists() else ""
        raise UnavailableError(f"{error}, and there is no file with this name{hint}") from None


def _head(path: Path, arguments: Mapping[str, Any] | None) -> str | None:
    """Return the head of a MACE model, the only argument that does not belong to a calculator."""
    given = dict(arguments or {})
    if given.keys() == {"head"} and path.suffix in PICKLED_SUFFIXES:
        return str(given["head"])
    if given:
        raise ConfigError(f"{path}: arguments belong to a calculator, but this is not one")
    return None


def _from_file(path: Path, trust: bool, head: str | None = None) -> Potential:
    if path.is_dir():
        return _matgl(path)
    if path.suffix not in KEEL_SUFFIXES:
        refuse_recognised(path)
    if path.suffix == ".ckpt":
        raise ConfigError(f"{path}: first convert the checkpoint of torchmd-net to a file of keel with keel import")
    if path.suffix in PICKLED_SUFFIXES and path.is_file():
        return _pickled(path, trust, head)
    try:
        return load(path)
    except DataError:
        refuse_recognised(path)
        if path.suffix in FILE_SUFFIXES:
            raise
        what = "this is not a potential" if path.is_file() else "there is no such file"
        raise DataError(f"{path}: {what}; name {POTENTIALS}") from None


def refuse_recognised(path: Path) -> None:
    """Raise a DataError if a model is well known but not opened, with what to do instead."""
    if advice := direction(path):
        raise DataError(f"{path}: {advice}")


def _matgl(path: Path) -> Potential:
    from keel.potentials.external.matgl_checkpoint import from_matgl

    if not (path / "model.json").exists():
        refuse_recognised(path)
        # A folder of `keel train` holds a checkpoint too; that of a run has its networks in another.
        there = (*path.iterdir(), *path.glob("potentials/*"))
        inside = sorted(
            (p for p in there if p.suffix in KEEL_SUFFIXES[:1]), key=lambda p: (p.stem != "potential", p.name)
        )
        raise DataError(f"{path}: this folder is not a matgl model; name {inside[0] if inside else POTENTIALS}")
    return from_matgl(path)


def _pickled(path: Path, trust: bool, head: str | None) -> Potential:
    if holds_weights_alone(path):
        raise DataError(
            f"{path}: it contains weights without their network; build the network in its own package, load the "
            f"weights into it, and {OWN_FUNCTION}"
        )
    if not trust:
        what = (
            "this is a MACE model, and reading it"
            if any(m.startswith("mace.") for m in modules_in(path))
            else "reading this file"
        )
        raise ConfigError(
            f"{path}: {what} runs the code in it; use --trust (trust: true in YAML, trust=True in Python) if you trust "
            "its source"
        )
    from keel.potentials.external.extras import optional, quiet, trusting
    from keel.potentials.external.mace import MACE

    # Classes that are first imported while a file is read could not read their own constants.
    optional("mace.modules", f"{path}", "mace-torch", "mace")
    try:
        with quiet(), trusting():
            model = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: this is not a model that can be read ({reason})") from None
    try:
        return MACE.from_model(model, head)
    except KeelError as error:
        raise DataError(f"{path}: {error}") from None
