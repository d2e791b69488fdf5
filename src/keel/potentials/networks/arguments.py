"""Arguments of networks beside their name in a configuration, described as settings are."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import yaml

from keel.described import WORDS, Setting
from keel.potentials.base import Potential
from keel.potentials.networks.network import Network
from keel.potentials.registry import concrete

SECTION = "networks[architecture: {}]"
"""The place of the arguments of a class: beside its name."""
LENGTHS = ("cutoff", "cutoff_lower")


def arguments_described() -> Iterator[Setting]:
    """Yield the arguments of each class of networks of keel, with the defaults of its default preset."""
    for name, cls in concrete(Potential.registry, Network).items():
        if cls.presets and cls.__module__.startswith("keel."):
            place, meanings = SECTION.format(name), _meanings(cls)
            meaning = f"arguments with architecture: {name}"
            yield Setting(place, "settings", "", "", "", meaning)
            known = {**cls.presets["default"], **cls.same}
            yield _setting(place, "preset", ", ".join(cls.presets), "default", "defaults of the other arguments")
            modes = inspect.signature(cls.__init__).parameters
            if "mode" in modes:
                yield _setting(place, "mode", "smooth, reference", "smooth", "smooth at the cutoff, or as published")
            for option, usual in known.items():
                meaning = meanings.get(option) or "as defined by the package of the network"
                yield _setting(place, option, WORDS.get(type(usual), "anything"), usual, meaning)


def _setting(place: str, name: str, kind: str, usual: Any, meaning: str) -> Setting:
    default = yaml.safe_dump(usual, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return Setting(f"{place}.{name}", kind, default, "Å" if name in LENGTHS else "", "", meaning)


def _meanings(cls: type[Network]) -> dict[str, str]:
    """Return the first sentence on each parameter in the docstring of a class."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for names, meaning in re.findall(r"^(\w[\w, ]*)\n((?:    .*\n?)+)", text, re.MULTILINE):
        sentence = re.split(r"\.\s", " ".join(meaning.split()) + " ")[0]
        plain = re.sub(r":\w+:|`", "", sentence).strip().replace('"', "")
        plain = plain[:1].lower() + plain[1:] if plain.partition(" ")[0][1:].islower() else plain
        found |= dict.fromkeys(names.split(", "), plain)
    return found | {"cutoff": "distance up to which an atom interacts with its neighbours"}
