"""A configuration of a run made from the files alone, each setting with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keel.atoms.elements import symbol
from keel.atoms.frame import Frame
from keel.atoms.labelling.names import LABELS
from keel.atoms.partial import LabelledSet
from keel.atoms.read import read
from keel.atoms.remarks import frames_of
from keel.config import RunSettings
from keel.datasets import phosphorus
from keel.dynamics.stability import LADDER
from keel.kinds import COMPRESSED
from keel.potentials.networks.network import network_class
from keel.settings import parse
from keel.training.known import BASELINE, METHOD, WALLS
from keel.wording import listed
from keel.workflow.planning.proposed_split import learnable, proposed_split

NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "CGCNN": {"cutoff": 5.0, "features": 48, "convolutions": 3},
    "M3GNet": {"preset": "small", "training": {"learning_rate": 0.004}},
    "TorchMDET": {"preset": "small"},
    "MACE": {"cutoff": 5.0, "channels": 32, "max_l": 1, "layers": 2, "max_ell": 2, "correlation": 2,
             "training": {"learning_rate": 0.01}},
}  # fmt: skip
"""A size that trains in minutes; other networks use their smallest size."""
TEMPERATURE = re.compile(r"(md_|target_)?(temp|temperature|t)(_?k)?", re.IGNORECASE)
"""Keys of ``Frame.info`` for the temperature of a simulation in K."""
ALIKE = 0.02
"""Relative difference of temperatures that count as equal for g(r)."""
PAIRS = 15
"""Largest number of pairs of elements whose dimers are drawn."""


@dataclass(frozen=True)
class Proposal:
    """A configuration made from files.

    Parameters
    ----------
    config
        The configuration.
    given
        Its settings that are not defaults, as in YAML.
    reasons
        Reasons for settings, by their places (``data.split``).
    facts
        Content of the files, a sentence each.
    """

    config: RunSettings
    given: dict[str, Any]
    reasons: Mapping[str, str]
    facts: tuple[str, ...]


def propose(files: Sequence[str], frames: Sequence[Frame], networks: Sequence[str] = ()) -> Proposal:
    """Return the configuration of a run that compares plain training with pretraining on some files.

    It depends on its arguments only, so that a run with the same files is continued.

    Parameters
    ----------
    files
        Their paths for the configuration; the first one names the run.
    frames
        The content of the files.
    networks
        Classes of networks; none: CGCNN.

    Raises
    ------
    ConfigError
        If there is no such network.
    DataError
        If there are no energies or no forces, or too few frames.
    """
    material = LabelledSet(frames)
    material.require(("energy", "forces"))
    labelled = learnable(material.labelled)
    split, known = proposed_split(labelled), temperatures(labelled)
    chosen, why = _elements(material.labelled, labelled)
    evaluation, md = _evaluation(labelled, known), _md(known)
    given: dict[str, Any] = {
        "name": name_of(files[0]),
        "data": {"files": list(files), **chosen, "split": split.settings},
        "networks": [_network(name) for name in networks or ("CGCNN",)],
        "strategies": [BASELINE, WALLS, METHOD],
        "seeds": [0],
        "training": {"steps": 1500, "batch_size": 4, "learning_rate": 0.006},
        "md": md,
        **({"evaluation": evaluation} if evaluation else {}),
    }
    reasons = {**why, "data.split": split.reason, "md.temperatures": _temperatures_in_words(known)}
    return Proposal(parse(RunSettings, given, "keel run"), given, reasons, facts(labelled))


def read_files(files: Sequence[str], base: Path = Path()) -> list[Frame]:
    """Return the frames of some files; ``phosphorus`` is the embedded set."""
    frames: list[Frame] = []
    for name in files:
        frames += phosphorus() if name == "phosphorus" else read(base / name)
    return frames


def name_of(file: str) -> str:
    """Return the name of a run on a file: without folders and suffixes, ``zeolites`` of ``data/zeolites.extxyz.gz``.

    Files whose names are those of their format, such as OUTCAR, are named with their folder.
    """
    path = Path(file)
    name = Path(path.stem).stem if path.suffix in COMPRESSED else path.stem
    folder = path.resolve().parent.name
    return f"{folder}-{name}" if not path.suffix and path.is_file() and folder else name


def temperatures(frames: Sequence[Frame]) -> list[float]:
    """Return the temperatures in K stated in the frames; empty if none is stated."""
    found = (value for f in frames for key, value in f.info.items() if TEMPERATURE.fullmatch(key))
    return [float(t) for t in found if isinstance(t, int | float) and 0 < t < 1e5]


def facts(frames: Sequence[Frame]) -> tuple[str, ...]:
    """Return the content of frames: number, size and elements, and how many have each label."""
    sizes = [len(f) for f in frames]
    atoms = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    elements = [symbol(z) for z in sorted({int(z) for f in frames for z in f.numbers})]
    named = listed(elements) if len(elements) <= 12 else f"{len(elements)} elements"
    return f"{len(frames):,} frames of {atoms} atoms: {named}", f"labels: {_labels(frames)}"


def _labels(frames: Sequence[Frame]) -> str:
    """Return ``energy and forces of all frames, stress of 12``."""
    labels: dict[int, list[str]] = {}
    for label in LABELS:
        labels.setdefault(sum(getattr(f, label) is not None for f in frames), []).append(label)
    words = {0: "none", len(frames): "all frames"}
    counts = sorted(labels.items(), reverse=True)
    return ", ".join(f"{listed(names)} of {words.get(n, f'{n:,} frames')}" for n, names in counts)


def _elements(frames: Sequence[Frame], learnt: Sequence[Frame]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the setting of the elements where some are in no training frame, and the reason."""
    kept, everything = (sorted({int(z) for f in some for z in f.numbers}) for some in (learnt, frames))
    if len(learnt) == len(frames):
        return {}, {}
    rare, number = [symbol(z) for z in everything if z not in kept], len(frames) - len(learnt)
    reason = f"{listed(rare)} would be in no training frame, so {frames_of(number)} must be left out"
    return {"elements": [symbol(z) for z in kept]}, {"data.elements": reason}


def _network(name: str) -> dict[str, Any]:
    """Return the settings of a network by its class, of a size that trains in minutes."""
    small = {"preset": "small"} if "small" in network_class(name).presets else {}
    return {"architecture": name, **NETWORKS.get(name, small)}


def _md(known: Sequence[float]) -> dict[str, Any]:
    """Return how stability is tested: at temperatures above those of the data, where networks leave them."""
    hottest = max(known, default=0.0)
    first = 1000.0 * (int(hottest // 1000) + 1)
    ladder = LADDER if hottest < LADDER[0] else [first + step - LADDER[0] for step in LADDER]
    lengths = {"rung_fs": 500, "length_fs": 2000, "longest_fs": 2000}
    return {"temperatures": list(ladder), "runs": 8, **lengths}


def _temperatures_in_words(known: Sequence[float]) -> str:
    if not known:
        return "the frames do not state their temperature"
    low, high = min(known), max(known)
    return f"MD: the frames are at {low:g}{'' if low == high else f' to {high:g}'} K"


def _evaluation(frames: Sequence[Frame], known: Sequence[float]) -> dict[str, Any]:
    """Return the other evaluations: g(r) where the frames are of one temperature, dimers of not too many pairs."""
    n = len({int(z) for f in frames for z in f.numbers})
    found: dict[str, Any] = {"dimers": PAIRS} if n * (n + 1) // 2 > PAIRS else {}
    one = len(known) == len(frames) and max(known) - min(known) <= ALIKE * max(known)
    if one and all(f.pbc.all() for f in frames):
        found["rdf_temperature"] = round(sum(known) / len(known))
    return found
