"""Whether the cutoffs of a run suit its structures, checked before anything is fitted or trained."""

from __future__ import annotations

from collections.abc import Sequence

from keel.atoms.frame import Frame
from keel.atoms.within_reach import check_cutoff
from keel.config import TeacherSettings


def check_cutoffs(teacher: TeacherSettings, frames: Sequence[Frame], networks: Sequence[float]) -> None:
    """Refuse a cutoff that does not suit the training frames, see :func:`keel.atoms.within_reach.check_cutoff`.

    Parameters
    ----------
    teacher
        Settings of the teacher, whose cutoff is checked if it is fitted.
    frames
        The training frames.
    networks
        The cutoff of each network.

    Raises
    ------
    ConfigError
        Names the setting.
    """
    for k, cutoff in enumerate(networks):
        check_cutoff(frames, cutoff, f"networks.{k}.cutoff")
    if teacher.file is None and teacher.calculator is None:
        check_cutoff(frames, teacher.cutoff, "teacher.cutoff")
