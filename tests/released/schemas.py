"""What files consist of: names and types, without the values, so that two versions of a format can be compared."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ase.io.extxyz import key_val_str_to_dict
from safetensors import safe_open

from keel.atoms.compression import opened

Schema = Any
"""A type by its name, a list of one schema or none, or an object by keys; keys that may be absent end in ``?``."""

NOT_READ = {".html", ".md", ".png", ".pdf", ".svg", ".yaml", ".csv.gz"}
"""Pages, figures and configurations are for people; keel does not read them again as files of its own."""
NAMED = {"inputs", "settings", "versions", "before", "description", "structures", "groups", "rungs", "skills"}
"""Keys whose objects have names of the user's or of packages as keys."""
GENERAL = (
    (re.compile(r"[A-Z][a-z]?-[A-Z][a-z]?"), "PAIR"),
    (re.compile(r"[A-Z][a-z]?"), "ELEMENT"),
    (re.compile(r"-?\d+(\.\d+)?"), "NUMBER"),
)


def of_folder(root: Path) -> Schema:
    """Return the schema of each file in a folder by its path; what only numbers and hashes tell apart is one."""
    found: dict[str, Schema] = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.suffix not in NOT_READ):
        name = re.sub(r"-[0-9a-f]{10}(?=/|$)", "-HASH", path.relative_to(root).as_posix())
        name = re.sub(r"(?<![A-Za-z0-9])\d+(?![0-9])", "N", name)
        schema = of_file(path)
        found[name] = schema if name not in found else merged(found[name], schema)
    return found


def of_file(path: Path) -> Schema:
    """Return the schema of a file."""
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    return READERS[suffix](path)


def of_value(value: Any, key: str = "") -> Schema:
    """Return the schema of plain data."""
    if isinstance(value, dict):
        if key in NAMED:
            return {"NAME": union(of_value(v) for v in value.values())} if value else {}
        pairs: dict[str, Schema] = {}
        for name, v in value.items():
            general = next((word for pattern, word in GENERAL if pattern.fullmatch(name)), name)
            schema = of_value(v, name)
            pairs[general] = merged(pairs[general], schema) if general in pairs else schema
        return pairs
    if isinstance(value, (list, tuple)):
        return [union(map(of_value, value))] if value else []
    for kind, word in ((bool, "flag"), ((int, float), "number"), (str, "text"), (type(None), "null")):
        if isinstance(value, kind):
            return word
    return type(value).__name__


def union(schemas: Iterable[Schema]) -> Schema:
    """Return what all of some schemas fit, at least one."""
    first, *others = schemas
    for other in others:
        first = merged(first, other)
    return first


def merged(a: Schema, b: Schema) -> Schema:
    """Return what both schemas fit."""
    if a == b:
        return a
    if isinstance(a, dict) and isinstance(b, dict) and "any of" not in {*a, *b}:
        return dict(_both(a, b))
    if isinstance(a, list) and isinstance(b, list):
        return [union([*a, *b])]
    kinds = sorted({json.dumps(k, sort_keys=True): k for k in (*_kinds(a), *_kinds(b))}.items())
    return {"any of": [k for _, k in kinds]}


def _kinds(schema: Schema) -> list[Schema]:
    return schema["any of"] if isinstance(schema, dict) and "any of" in schema else [schema]


def _both(a: dict[str, Schema], b: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    sides = [{key.removesuffix("?"): (key, schema) for key, schema in side.items()} for side in (a, b)]
    for key in dict.fromkeys((*sides[0], *sides[1])):
        found = [side[key] for side in sides if key in side]
        optional = len(found) < 2 or any(name.endswith("?") for name, _ in found)
        yield f"{key}?" if optional else key, union(schema for _, schema in found)


def differences(before: Schema, now: Schema, place: str = "") -> list[str]:
    """Return where two schemas differ, and how."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            line
            for key in dict.fromkeys((*before, *now))
            for line in differences(before.get(key, "absent"), now.get(key, "absent"), f"{place}/{key}")
        ]
    if isinstance(before, list) and isinstance(now, list) and before and now:
        return differences(before[0], now[0], f"{place}[]")
    return [f"{place.lstrip('/')}: {json.dumps(before)} became {json.dumps(now)}"]


# --- Files -----------------------------------------------------------------------------------------------------------


def _json(path: Path) -> Schema:
    content = json.loads(path.read_text())
    if isinstance(content, dict) and "keel_format" in content and path.parent.name != "potential":
        return "potential"
    return of_value(content, path.stem)


def _csv(path: Path) -> Schema:
    with path.open(newline="") as file:
        return next(csv.reader(file))


def _safetensors(path: Path) -> Schema:
    with safe_open(path, "numpy") as file:
        metadata = {key: of_value(json.loads(text)) for key, text in file.metadata().items()}
        if "potential" in metadata["keel"] and path.parent.name != "potential":
            return "potential"
        tensors: dict[str, Schema] = {}
        for key in sorted(file.keys()):
            part = file.get_slice(key)
            name, kind = re.sub(r"\d+", "N", key), f"{part.get_dtype()}, {len(part.get_shape())} axes"
            tensors[name] = merged(tensors[name], kind) if name in tensors else kind
    return {**metadata, "tensors": tensors}


def _extxyz(path: Path) -> Schema:
    with opened(path) as stream:
        lines = stream.read().decode().splitlines()
    comments = []
    while lines:
        atoms = int(lines[0])
        comments.append(lines[1])
        lines = lines[atoms + 2 :]
    schemas = []
    for comment in comments:
        info = {key: getattr(value, "tolist", lambda v=value: v)() for key, value in key_val_str_to_dict(comment).items()}
        schemas.append({**of_value(info), "Properties": info["Properties"]})
    return [union(schemas)]


def _hdf5(path: Path) -> Schema:
    import h5py

    found: dict[str, Schema] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[re.sub(r"\d+", "N", name)] = f"{item.dtype}, {item.ndim} axes"

    with h5py.File(path) as file:
        file.visititems(note)
        return {**found, "attributes": of_value(dict(file.attrs))}


def _traj(path: Path) -> Schema:
    import ase.io.ulm

    with ase.io.ulm.open(str(path)) as file:
        return [union(of_value(_plain(file[k].asdict())) for k in range(len(file)))]


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    return content.tolist() if hasattr(content, "tolist") else content


READERS = {
    ".json": _json,
    ".csv": _csv,
    ".safetensors": _safetensors,
    ".extxyz": _extxyz,
    ".extxyz.gz": _extxyz,
    ".h5": _hdf5,
    ".traj": _traj,
}
