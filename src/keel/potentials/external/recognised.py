"""Well-known models that keel does not open itself: how they are recognised, and what to do with them.

No part of such a file is executed: archives are listed, and pickles searched for the names of classes.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

BEGINNING, MOST = 200_000, 20_000_000
"""Number of bytes of a file, or of the pickle in it, that are searched for its type and classes."""
MATGL = ("model.json", "state.pt", "model.pt")
"""Files in the folder of a matgl model."""
ARRAYS = {"torch", "collections", "numpy", "builtins", "_codecs", "__builtin__"}
"""Packages whose classes contain numbers but no network, ..."""
NETWORKS = ("torch.nn.modules", "torch.jit", "torch.fx")
"""... except these modules."""
OWN_FUNCTION = (
    "write a function in mine.py that returns its ASE calculator, and name it: mine.FUNCTION with --plugin mine.py"
)


@dataclass(frozen=True)
class Recognised:
    """A kind of models.

    Parameters
    ----------
    name
        What it is.
    instead
        What to do; ``{0}`` is the file.
    names
        Names of such files, with wildcards, in lower case.
    holds
        Regular expression found in such files, and in no others; ``member NAME`` for the members of archives.
    packages
        Packages whose classes such a pickle contains.
    """

    name: str
    instead: str
    names: tuple[str, ...] = ()
    holds: bytes = b""
    packages: tuple[str, ...] = ()


def _calculator(path: str, argument: str, package: str, more: str = "") -> str:
    """Return what to do with a model that has an ASE calculator."""
    return f'name its ASE calculator ({package}): {path} --arguments \'{{{{"{argument}": "{{0}}"{more}}}}}\''


MODELS: tuple[Recognised, ...] = (
    Recognised(
        "a metatomic model, as written by keel export",
        _calculator("metatomic_ase.MetatomicCalculator", "model", "metatomic-ase"),
        holds=rb"member \S*extra/metatomic-version",
    ),
    Recognised(
        "a MACE model compiled for LAMMPS",
        "give the .model file that it was made from",
        holds=rb"member \S*code/__torch__/mace/",
    ),
    Recognised(
        "a packaged or trained model of NequIP or Allegro",
        "compile it with nequip-compile --target ase, then "
        + _calculator("nequip.integrations.ase.NequIPCalculator.from_compiled_model", "compile_path", "nequip").replace(
            "{0}", "COMPILED"
        ),
        names=("*.nequip.zip",),
        packages=("nequip", "allegro"),
    ),
    Recognised(
        "a compiled model of NequIP or Allegro",
        _calculator("nequip.integrations.ase.NequIPCalculator.from_compiled_model", "compile_path", "nequip")
        + " (before nequip 0.7: nequip.ase.NequIPCalculator.from_deployed_model and model_path)",
        names=("*.nequip.pth", "*.nequip.pt2"),
        holds=rb"member \S*(?:extra/nequip_version|code/__torch__/(?:nequip|allegro)/)",
    ),
    Recognised(
        "a model of SevenNet",
        _calculator("sevenn.calculator.SevenNetCalculator", "model", "sevenn"),
        names=("*sevennet*.pt*", "*7net*.pt*"),
        holds=rb"member \S*code/__torch__/sevenn/|E3_equivariant_model",
        packages=("sevenn",),
    ),
    Recognised(
        "a model of DeePMD",
        _calculator("deepmd.calculator.DP", "model", "deepmd-kit"),
        names=("*.pb", "*.dp", "*.savedmodel"),
        holds=rb"member \S*code/__torch__/deepmd/|\bdescrpt_attr\b",
        packages=("deepmd",),
    ),
    Recognised(
        "a model of CHGNet",
        _calculator("chgnet.model.dynamics.CHGNetCalculator.from_file", "path", "chgnet"),
        names=("*chgnet*.pt*", "*chgnet*.tar"),
        packages=("chgnet",),
    ),
    Recognised(
        "a model of MatterSim",
        _calculator("mattersim.forcefield.MatterSimCalculator", "load_path", "mattersim"),
        names=("*mattersim*.pt*",),
        packages=("mattersim",),
    ),
    Recognised(
        "a model of fairchem",
        _calculator(
            "fairchem.core.FAIRChemCalculator.from_model_checkpoint",
            "name_or_path",
            "fairchem-core",
            ', "task_name": "omat"',
        ),
        names=("uma-*.pt", "esen*.pt"),
        packages=("fairchem", "ocpmodels"),
    ),
    Recognised("an Orb model", OWN_FUNCTION, names=("orb-*.ckpt", "orb_v*.ckpt"), packages=("orb_models",)),
    Recognised("a model of SchNetPack", OWN_FUNCTION, packages=("schnetpack",)),
    Recognised(
        "a GAP",
        _calculator("quippy.potential.Potential", "param_filename", "quippy-ase", ', "args_str": "IP GAP"'),
        holds=rb"<GAP_params|<gpSparse|\bIP GAP\b",
    ),
    Recognised(
        "an ACE potential",
        _calculator("pyace.PyACECalculator", "basis_set", "python-ace"),
        names=("*.yace", "*.ace"),
        holds=rb"\b(?:deltaSplineBins|radbasename|npoti)\b",
    ),
    Recognised(
        "a moment tensor potential",
        f"{OWN_FUNCTION} (that of the package motep is motep.calculator.MTP), or run it with LAMMPS",
        names=("*.mtp", "*.almtp"),
        holds=rb"\AMTP\s*\n\s*version",
    ),
    Recognised(
        "a neuroevolution potential (NEP)",
        _calculator("calorine.calculators.CPUNEP", "model_filename", "calorine"),
        names=("nep.txt", "*.nep"),
        holds=rb"\Anep\d?(?:_zbl)?\s+\d+\s+[A-Z]",
    ),
    Recognised(
        "a table of an EAM for LAMMPS",
        _calculator("ase.calculators.eam.EAM", "potential", "of ASE itself"),
        names=("*.eam", "*.alloy", "*.fs", "*.adp"),
    ),
    Recognised(
        "a table of an EAM for LAMMPS",
        # ASE knows the form by the suffix, and not this one.
        _calculator("ase.calculators.eam.EAM", "potential", "of ASE itself", ', "form": "alloy"')
        + ' (or "fs", as its pair style says)',
        names=("*.setfl",),
    ),
    Recognised(
        "a potential file for LAMMPS",
        "name ASE's calculator for it: ase.calculators.lammpslib.LAMMPSlib --arguments "
        '\'{{"lmpcmds": ["pair_style STYLE", "pair_coeff * * {0} ELEMENTS"]}}\'',
        names=("*.tersoff", "*.sw", "*.meam", "*.snapcoeff", "*.snapparam", "ffield*", "*.vashishta", "*.pod", "*.bop"),
    ),
    Recognised(
        "a network of n2p2 or RuNNer",
        "run it with LAMMPS (pair_style hdnnp), through ase.calculators.lammpslib.LAMMPSlib",
        names=("input.nn", "weights.*.data", "scaling.data"),
    ),
    Recognised("a model of matgl", "save it as a folder, with matgl's model.save(FOLDER)", packages=("matgl",)),
    Recognised(
        "a compiled network (TorchScript) of an unknown package",
        OWN_FUNCTION,
        holds=rb"member [^/\n]+/code/__torch__",
    ),
)
FOLDERS: tuple[tuple[str, str, str], ...] = (
    ("saved_model.pb", "a model of GRACE or another of TensorFlow", "tensorpotential.calculator.TPCalculator"),
    ("input.nn", "a network of n2p2 or RuNNer", "ase.calculators.lammpslib.LAMMPSlib"),
)
"""A file in a folder, what the folder is, and its ASE calculator."""
KIM = re.compile(r".*__(?:MO|SM)_\d{12}_\d{3}")
"""Names of OpenKIM models."""
KIM_CALCULATOR = _calculator("ase.calculators.kim.KIM", "model_name", "of ASE, with the KIM API")


def direction(path: Path) -> str | None:
    """Return what a model is and what to do with it, as a sentence without the name of the file; None if unknown."""
    if not path.exists():
        kim = KIM.fullmatch(path.name)
        return f"this is the name of a model of OpenKIM; {KIM_CALCULATOR.format(path.name)}" if kim else None
    if path.is_dir():
        held = next(
            (f"{name}; name {calculator}" for file, name, calculator in FOLDERS if (path / file).exists()), None
        )
        return held and f"this folder contains {held}"
    if path.suffix == ".py":
        function = f"{path.stem}.FUNCTION with --plugin {path}"
        return f"this is a program; name a function in it that returns an ASE calculator: {function}"
    if path.name in MATGL and all((path.parent / name).exists() for name in MATGL):
        return f"this is a part of a model of matgl; name its folder, {path.parent}"
    found = _recognised(path)
    return None if found is None else f"this is {found.name}; {found.instead.format(path)}"


def holds_weights_alone(path: Path) -> bool:
    """Whether a pickle contains only numbers, without their network."""
    modules = modules_in(path)
    return bool(modules) and not any(m.startswith(NETWORKS) or _package(m) not in ARRAYS for m in modules)


def modules_in(path: Path) -> set[str]:
    """Return the modules of the classes in a pickle, without loading it; empty if unknown."""
    file, found, strings = io.BytesIO(_pickle(path)), set[str](), [""]
    with suppress(Exception):  # at the end, where there are no more pickles but numbers, or where it is damaged
        while True:
            for operation, argument, _ in pickletools.genops(file):
                if operation.name == "GLOBAL":
                    found.add(str(argument).split()[0])
                elif operation.name == "STACK_GLOBAL":
                    found.add(strings[-2] if len(strings) > 1 else strings[-1])
                elif isinstance(argument, str):
                    strings.append(argument)
    return found


def _package(module: str) -> str:
    return module.split(".")[0]


def _recognised(path: Path) -> Recognised | None:
    content, name = b"\n".join(_content(path)), path.name.lower()
    packages = set(map(_package, modules_in(path)))
    if "mace" in packages:  # is opened, whatever its name
        return None
    certain = (m for m in MODELS if packages & {*m.packages} or (m.holds and re.search(m.holds, content)))
    named = (m for m in MODELS if any(fnmatch(name, pattern) for pattern in m.names))
    return next(certain, None) or next(named, None)


def _content(path: Path) -> Iterator[bytes]:
    """Yield what identifies a file: its beginning, or the members of an archive and the beginning of its pickle."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            yield file.read(BEGINNING)
        return
    with suppress(Exception), zipfile.ZipFile(path) as archive:  # damaged in whatever way
        yield "\n".join(f"member {name}" for name in archive.namelist()).encode()
        yield _pickle(path)[:BEGINNING]


def _pickle(path: Path) -> bytes:
    """Return the pickle that a file is, or that is in an archive; empty if there is none."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            return file.read(MOST)
    with suppress(Exception), zipfile.ZipFile(path) as archive:
        name = next((n for n in archive.namelist() if n.endswith("data.pkl")), None)
        return archive.open(name).read(MOST) if name else b""
    return b""
