"""What is simulated: structures, labels, neighbour lists, batches, files.

Reading and writing are :func:`keel.read` and :func:`keel.write`.
"""

from keel.atoms.batching import batch
from keel.atoms.census import Census, take_census
from keel.atoms.conversion import as_frame, as_frames
from keel.atoms.frame import Frame
from keel.atoms.frames import Frames
from keel.atoms.graph import AtomGraph, Labels, collate
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.named_parts import split_by_name
from keel.atoms.neighbours import neighbour_list
from keel.atoms.read import BadFrames, iter_frames
from keel.atoms.record import LabelKeys
from keel.atoms.splits import Split, group_frames, sample, split, split_in_time
from keel.atoms.store.frames import StoredFrames
from keel.atoms.store.packing import pack
from keel.atoms.usual_splits import usual_split
from keel.lazy import find_submodules

__all__ = [
    "AtomGraph",
    "BadFrames",
    "Census",
    "Frame",
    "Frames",
    "LabelKeys",
    "Labels",
    "Split",
    "StoredFrames",
    "as_frame",
    "as_frames",
    "batch",
    "collate",
    "frame_from_ase",
    "group_frames",
    "iter_frames",
    "neighbour_list",
    "pack",
    "sample",
    "split",
    "split_by_name",
    "split_in_time",
    "take_census",
    "usual_split",
]

find_submodules(__name__)
