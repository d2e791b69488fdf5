"""Structures as small data that the page's viewer plays, and as a picture of the last one for print."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from keel.atoms.elements import COVALENT_RADII, symbol
from keel.atoms.frame import Array, Frame
from keel.atoms.picture import BALL, colour_of, oblique_view, outline
from keel.evaluation.check import Film
from keel.reporting.figures.view import ClosestPair, best_view, closest_pair, wrapped_around
from keel.wording import number

BOND = 1.15
"""Atoms closer than this times the sum of their covalent radii are joined."""
CLOSE = 0.75
"""The closest pair is marked if its distance is below this times the sum of covalent radii."""
STEP = 1e-3
"""Positions are rounded to this, in angstrom."""
LARGEST, ABSENT = 32767, -32768
"""As 16-bit integers: the furthest position, and the mark of an atom that cannot be drawn."""


@dataclass(frozen=True)
class Player:
    """A film in the page.

    Parameters
    ----------
    title, note, alt
        Text above it, below it, and for readers who cannot see it.
    svg
        Its last frame, as HTML.
    data
        All frames for the viewer, as JSON.
    """

    title: str
    note: str
    alt: str
    svg: str
    data: str


@dataclass(frozen=True, eq=False)
class Scene:
    """Atoms of all frames around a common middle.

    Parameters
    ----------
    numbers
        Atomic numbers, shape (N,).
    positions
        In angstrom, wrapped, shape (K, N, 3); NaN where an atom cannot be drawn.
    cells
        Shape (K, 3, 3).
    view
        Rows point right, up and towards the reader.
    pair
        The closest pair of the last frame, where one is marked.
    """

    numbers: NDArray[np.int64]
    positions: Array
    cells: Array
    view: Array
    pair: tuple[int, int] | None


def player(film: Film, name: str, title: str, *, most_atoms: int = 2000, most_frames: int = 100) -> Player:
    """Return a film as a part of a page.

    Parameters
    ----------
    name
        Unique in the page; letters and dashes.
    most_atoms, most_frames
        The note states what is left out beyond these: atoms far from the middle, and frames in between.
    """
    stride = -(-len(film.frames) // most_frames)
    chosen = list(range(len(film.frames) - 1, -1, -stride))[::-1]
    frames = [film.frames[k] for k in chosen]
    pair = _closest(frames[-1])
    scene, left_out = _scene(frames, pair, most_atoms)
    times = [round(float(film.times[k]), 3) for k in chosen] if len(film.times) == len(film.frames) else []
    notes = [
        f"{len(film.frames[-1])} atoms, {frames[-1].formula}, {_length(film, times)}",
        _pair_in_words(frames, pair),
    ]
    if stride > 1:
        notes.append(f"One frame in {stride} is shown")
    if left_out:
        notes.append(f"{left_out} atoms far from the middle are not shown")
    if lost := int(np.isnan(scene.positions).any(axis=(0, 2)).sum()):
        notes.append(f"{lost} atoms left the view or have no finite position")
    note = ". ".join(filter(None, notes)) + "."
    alt = f"{title}: the last frame of {note}"
    return Player(title, note, alt, picture(scene, name, alt), encoded(scene, times))


def _length(film: Film, times: Sequence[float]) -> str:
    if len(film.frames) == 1:
        return "one frame"
    span = f" over {number(times[-1] - times[0])} fs" if times else ""
    return f"{len(film.frames)} frames{span}"


def _closest(frame: Frame) -> ClosestPair | None:
    sound = np.isfinite(frame.positions).all() and np.isfinite(frame.cell).all()
    return closest_pair(frame) if sound and len(frame) >= 2 else None


def _pair_in_words(frames: Sequence[Frame], pair: ClosestPair | None) -> str:
    if pair is None:
        return ""
    names = "–".join(symbol(z) for z in sorted(int(frames[-1].numbers[k]) for k in (pair.i, pair.j)))
    share = f"{100 * pair.ratio:.0f} % of the sum of their covalent radii"
    return f"Closest pair at the end: {names}, {pair.distance:.2f} Å, {share}"


def _scene(frames: Sequence[Frame], pair: ClosestPair | None, most_atoms: int) -> tuple[Scene, int]:
    last = frames[-1]
    middle = _middle(last) if pair is None else last.positions[pair.i] + 0.5 * pair.vector
    positions = np.stack([wrapped_around(f, _follow(middle, last, f)) for f in frames])
    view = oblique_view() if pair is None else best_view(positions[-1], last, pair)
    distance = np.nan_to_num(np.linalg.norm(positions[-1], axis=1), nan=np.inf)
    near = np.sort(np.argsort(distance, kind="stable")[:most_atoms])
    ends = None if pair is None or pair.ratio > CLOSE else (pair.i, pair.j)
    marked = (int(np.searchsorted(near, ends[0])), int(np.searchsorted(near, ends[1]))) if ends else None
    positions = positions[:, near]
    positions[~(np.abs(positions) < _reach(frames)).all(axis=2)] = np.nan
    cells = np.nan_to_num(np.stack([f.cell for f in frames]), posinf=0.0, neginf=0.0)
    return Scene(last.numbers[near], positions, cells, view, marked), len(last) - len(near)


def _middle(frame: Frame) -> Array:
    sound = frame.positions[np.isfinite(frame.positions).all(axis=1)]
    if frame.pbc.all() and np.isfinite(frame.cell).all():
        return np.asarray(0.5 * frame.cell.sum(axis=0), dtype=np.float64)
    return np.asarray(np.median(sound, axis=0) if len(sound) else np.zeros(3), dtype=np.float64)


def _follow(middle: Array, last: Frame, frame: Frame) -> Array:
    """Return where the middle lies in the cell of another frame."""
    if last.volume == 0 or not np.isfinite([last.cell, frame.cell]).all() or np.array_equal(last.cell, frame.cell):
        return middle
    return np.asarray(np.linalg.solve(last.cell.T, middle) @ frame.cell, dtype=np.float64)


def _reach(frames: Sequence[Frame]) -> float:
    """Return how far from the middle an atom is drawn: three times the size of the first frame and its cell."""
    first = frames[0]
    sound = first.positions[np.isfinite(first.positions).all(axis=1)]
    sizes = [float(np.ptp(sound, axis=0).max()) if len(sound) else 0.0]
    sizes += [float(np.abs(f.cell).sum(axis=0).max()) for f in frames if np.isfinite(f.cell).all()]
    return 3 * max(10.0, *sizes)


def encoded(scene: Scene, times: Sequence[float]) -> str:
    """Return a scene as JSON: positions as 16-bit integers (little-endian, base64) times ``step``, frame by frame."""
    largest = float(np.nanmax(np.abs(scene.positions), initial=0.0))
    step = max(STEP, largest / LARGEST)
    rounded = np.where(np.isnan(scene.positions), ABSENT, np.round(scene.positions / step)).astype("<i2")
    kinds = np.unique(scene.numbers)
    same = bool((scene.cells == scene.cells[0]).all())
    content = {
        "step": step,
        "kinds": [{"name": symbol(int(z)), "radius": float(COVALENT_RADII[z]), "colour": colour_of(int(z))}
                  for z in kinds],
        "kind": np.searchsorted(kinds, scene.numbers).tolist(),
        "frames": len(scene.positions),
        "positions": base64.b64encode(rounded.tobytes()).decode("ascii"),
        "cells": np.round(scene.cells[:1] if same else scene.cells, 3).reshape(-1, 9).tolist(),
        "times": list(times),
        "view": np.round(scene.view, 5).reshape(-1).tolist(),
        "pair": scene.pair,
        "ball": BALL,
        "bond": BOND,
    }  # fmt: skip
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def picture(scene: Scene, name: str, alt: str) -> str:
    """Return the last frame as SVG: the cell, bonds and balls, far ones first."""
    seen, radii = scene.positions[-1] @ scene.view.T, BALL * COVALENT_RADII[scene.numbers]
    drawn = np.flatnonzero(np.isfinite(seen).all(axis=1))
    corners = np.array(list(product((-0.5, 0.5), repeat=3))) @ scene.cells[-1] @ scene.view.T
    points = np.concatenate([seen[drawn], corners])[:, :2]
    low, high = points.min(axis=0) - 1.0, points.max(axis=0) + 1.0
    parts = [(float("-inf"), outline(corners))]
    parts += [(float(seen[[i, j], 2].mean()), _bond(seen[i], seen[j])) for i, j in bonds(scene, drawn)]
    parts += [(float(seen[k, 2]), _ball(seen[k], radii[k], f"{name}-{symbol(int(scene.numbers[k]))}")) for k in drawn]
    parts += [(float("inf"), _ring(seen[k], radii[k])) for k in scene.pair or ()]
    body = "".join(text for _, text in sorted(parts, key=lambda part: part[0]))
    box = f"{low[0]:.2f} {-high[1]:.2f} {high[0] - low[0]:.2f} {high[1] - low[1]:.2f}"
    shades = "".join(_shade(int(z), name) for z in np.unique(scene.numbers))
    return f'<svg class="figure still" role="img" viewBox="{box}" aria-label="{escape(alt)}"><defs>{shades}</defs>{body}</svg>'  # noqa: E501


def bonds(scene: Scene, drawn: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the pairs of atoms of the last frame that are joined, among those that are drawn; not across the cell."""
    radii = COVALENT_RADII[scene.numbers]
    if len(drawn) < 2:
        return []
    tree = cKDTree(scene.positions[-1][drawn])
    pairs = drawn[tree.query_pairs(2 * BOND * float(radii.max()), output_type="ndarray")].reshape(-1, 2)
    distance = np.linalg.norm(np.subtract(*scene.positions[-1][pairs.T]), axis=1)
    near = pairs[distance < BOND * radii[pairs].sum(axis=1)]
    return [(int(i), int(j)) for i, j in near]


def _bond(a: Array, b: Array) -> str:
    return f'<path class="bond" d="M{a[0]:.2f} {-a[1]:.2f}L{b[0]:.2f} {-b[1]:.2f}"/>'


def _ball(place: Array, radius: float, shade: str) -> str:
    return f'<circle cx="{place[0]:.2f}" cy="{-place[1]:.2f}" r="{radius:.2f}" fill="url(#{shade})"/>'


def _ring(place: Array, radius: float) -> str:
    return f'<circle class="ring" cx="{place[0]:.2f}" cy="{-place[1]:.2f}" r="{radius + 0.12:.2f}"/>'


def _shade(number: int, name: str) -> str:
    stops = "".join(
        f'<stop offset="{offset}" stop-color="{_mixed(colour_of(number), target, share)}"/>'
        for offset, target, share in ((0, 255, 0.55), (0.45, 255, 0.0), (1, 0, 0.42))
    )
    return f'<radialGradient id="{name}-{symbol(number)}" cx=".36" cy=".32" r=".75">{stops}</radialGradient>'


def _mixed(colour: str, target: int, share: float) -> str:
    parts = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round((1 - share) * part + share * target):02x}" for part in parts)
