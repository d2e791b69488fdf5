"""What files consist of: names and types without the values, so that what is written can be compared with what was."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ase.io.extxyz import key_val_str_to_dict
from safetensors import safe_open

from keel.atoms.formats.compression import opened

Schema = Any
"""A type by its name, a list of one schema, an object by keys, of which those that may be absent end in ``?``, or
``{"any of": [...]}``. What is not known, ``"null"`` and ``[]``, fits whatever may stand in its place."""

NOT_READ = {".html", ".md", ".png", ".pdf", ".svg", ".yaml"}
"""Pages, figures and configurations are for people; keel does not read them again as files of its own."""
NOT_COMPARED = {"inputs": "what names the folder"}
NAMED = {"settings", "versions", "description", "structures", "potential", "groups", "rungs"}
"""Keys of objects whose own keys are names: the user's, of packages, or of what is told in words."""
DATA = {
    "PAIR": re.compile(r"[A-Z][a-z]?-[A-Z][a-z]?"),
    "ELEMENT": re.compile(r"[A-Z][a-z]?"),
    "NUMBER": re.compile(r"-?\d+(\.\d+)?"),
}
"""Keys that are data as well, by what stands for them; ``NAME`` stands for those of :data:`NAMED`."""


def of_folder(root: Path) -> dict[str, Schema]:
    """Return the schema of each file in a folder by its path; those that only hashes and numbers tell apart are one.

    Hidden files are locks.
    """
    found: dict[str, Schema] = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.name[0] != "." and p.suffix not in NOT_READ):
        name = re.sub(r"-[0-9a-f]{10}(?=/)", "-HASH", path.relative_to(root).as_posix())
        name = re.sub(r"(?<![A-Za-z0-9])\d+", "N", name)
        found[name] = merged(found.get(name, "null"), of_file(path))
    return found


def of_file(path: Path) -> Schema:
    """Return the schema of a file."""
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    return READERS[suffix](path)


def of_value(value: Any, key: str = "") -> Schema:
    """Return the schema of plain data that stands under a key."""
    if key in NOT_COMPARED:
        return NOT_COMPARED[key]
    if isinstance(value, dict):
        found: dict[str, Schema] = {}
        for name, part in value.items():
            word = "NAME" if key in NAMED else next((w for w, form in DATA.items() if form.fullmatch(name)), name)
            found[word] = merged(found.get(word, "null"), of_value(part, name))
        return found
    if isinstance(value, (list, tuple)):
        return [union(map(of_value, value))] if value else []
    kinds = ((bool, "flag"), ((int, float), "number"), (str, "text"), (type(None), "null"))
    return next(word for kind, word in kinds if isinstance(value, kind))


def union(schemas: Iterable[Schema]) -> Schema:
    """Return what all of some schemas fit."""
    found: Schema = "null"
    for schema in schemas:
        found = merged(found, schema)
    return found


def merged(a: Schema, b: Schema) -> Schema:
    """Return what both schemas fit."""
    if a == b or b in ("null", []):
        return a
    if a in ("null", []):
        return b
    if isinstance(a, list) and isinstance(b, list):
        return [merged(a[0], b[0])]
    if _is_object(a) and _is_object(b):
        return dict(_merged_keys(a, b))
    kinds = {json.dumps(kind, sort_keys=True): kind for kind in (*_kinds(a), *_kinds(b))}
    return {"any of": [kinds[text] for text in sorted(kinds)]}


def _merged_keys(a: dict[str, Schema], b: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    first, second = _keys(a), _keys(b)
    for key in {**first, **second}:
        found = [side[key] for side in (first, second) if key in side]
        optional = len(found) < 2 or any(optional for optional, _ in found)
        yield f"{key}?" if optional and key not in {*DATA, "NAME"} else key, union(schema for _, schema in found)


def differences(before: Schema, now: Schema, place: str = "") -> list[str]:
    """Return where and how files are not what they were; one that lacks what may be absent is."""
    if before == now or any(side in ("null", []) for side in (before, now)):
        return []
    if isinstance(before, list) and isinstance(now, list):
        return differences(before[0], now[0], f"{place}[]")
    if _is_object(before) and _is_object(now):
        return list(_changed_keys(_keys(before), _keys(now), place))
    old, new = _kinds(before), _kinds(now)
    if len(old) == len(new) == 1:
        return [f"{place}: {json.dumps(before)} became {json.dumps(now)}"]
    others = [kind for kind in new if all(differences(known, kind) for known in old)]
    return [f"{place}: {json.dumps(kind)} is new" for kind in others]


Keys = dict[str, tuple[bool, Schema]]


def _changed_keys(before: Keys, now: Keys, place: str) -> Iterator[str]:
    for key in {**before, **now}:
        where = f"{place}/{key}".removeprefix("/")
        data = key in {*DATA, "NAME"}
        if key not in before:
            if before or not data:
                yield f"{where} is new"
        elif key not in now:
            if not (before[key][0] or data):
                yield f"{where} is gone"
        else:
            if now[key][0] and not before[key][0]:
                yield f"{where} may be absent now"
            yield from differences(before[key][1], now[key][1], where)


def _keys(schema: dict[str, Schema]) -> Keys:
    """Return the keys of an object: whether each may be absent, and what stands under it."""
    return {key.removesuffix("?"): (key.endswith("?"), value) for key, value in schema.items()}


def _is_object(schema: Schema) -> bool:
    return isinstance(schema, dict) and "any of" not in schema


def _kinds(schema: Schema) -> list[Schema]:
    return schema["any of"] if isinstance(schema, dict) and "any of" in schema else [schema]


def text(schema: Schema, width: int = 110, indent: int = 0) -> str:
    """Return a schema as JSON, in as few lines as fit a width."""
    line = json.dumps(schema, sort_keys=True)
    if len(line) + indent <= width or isinstance(schema, str):
        return line
    space, items = " " * (indent + 1), []
    if isinstance(schema, list):
        items = [text(item, width, indent + 1) for item in schema]
    else:
        items = [f"{json.dumps(k)}: {text(schema[k], width, indent + 1)}" for k in sorted(schema)]
    opening, closing = "[]" if isinstance(schema, list) else "{}"
    return opening + "\n" + ",\n".join(f"{space}{item}" for item in items) + f"\n{' ' * indent}{closing}"


# --- Files -----------------------------------------------------------------------------------------------------------


def _json(path: Path) -> Schema:
    content = json.loads(path.read_text())
    if _is_potential_elsewhere(path, content):
        return "a potential"
    return of_value(content, "versions" if path.stem == "versions" else "")


def _csv(path: Path) -> Schema:
    with path.open(newline="") as file:
        return {"columns": ", ".join(next(csv.reader(file)))}


def _safetensors(path: Path) -> Schema:
    with safe_open(path, "numpy") as file:
        metadata = {key: json.loads(value) for key, value in file.metadata().items()}
        if _is_potential_elsewhere(path, metadata.get("keel")):
            return "a potential"
        tensors: dict[str, Schema] = {}
        for key in sorted(file.keys()):
            part, name = file.get_slice(key), re.sub(r"\d+", "N", key)
            tensors[name] = merged(tensors.get(name, "null"), f"{part.get_dtype()} ({len(part.get_shape())})")
    return {**of_value(metadata), "tensors": tensors}


def _is_potential_elsewhere(path: Path, content: Any) -> bool:
    """Whether a file is a potential, whose format has a number of its own, among files of another kind."""
    return isinstance(content, dict) and "keel_format" in content and path.parent.name != "potential"


def _extxyz(path: Path) -> Schema:
    with opened(path) as stream:
        lines = stream.read().decode().splitlines()
    comments = []
    while lines:
        comments.append(_plain(key_val_str_to_dict(lines[1])))
        lines = lines[int(lines[0]) + 2 :]
    return [union({**of_value(comment), "Properties": comment["Properties"]} for comment in comments)]


def _hdf5(path: Path) -> Schema:
    import h5py

    found: dict[str, Schema] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[re.sub(r"\d+", "N", name)] = f"{item.dtype} ({item.ndim})"

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
