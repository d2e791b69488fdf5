"""Settings of the data of a run: which files, and which frames train, choose the weights, and test."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from keel.atoms.splits import PARTS, Size
from keel.files import named_twice
from keel.mistakes import mistakes
from keel.ranges import Count, CountOrNone, Seed
from keel.settings import Listed, Settings

SIZE = "a number of frames or groups, a share such as 0.1, or names of groups"


def _size(least: int) -> Callable[[Any], Any]:
    """Return what checks the size of a part: 8, 0.1, ``val``, ``[val_id, val_ood]``; a whole number is a number."""

    def check(given: Any) -> Any:
        match given:
            case None:
                return None
            case list() if given and all(isinstance(name, str | int) and str(name).strip() for name in given):
                return [str(name) for name in given]
            case str() if given.strip():
                return given
            case int() | float() if not isinstance(given, bool) and isfinite(given):
                if given == int(given) >= least:
                    return int(given)
                if 0 < given < 1:
                    return given
        raise ValueError(f"it must be {SIZE}, not {given!r}")

    return check


PartSize = Annotated[Size | None, BeforeValidator(_size(1))]
PartSizeOrNone = Annotated[Size | None, BeforeValidator(_size(0))]


class SplitSettings(Settings):
    """Which frames train, choose the weights, and test.

    ``by: topology`` (any key of the frames' info) keeps groups whole and apart. ``train``, ``validation`` and ``test``
    then say which, by names (``train: finetune``, ``test: [edi, sod]``), or how many, drawn at random. Beside parts
    with names, one given as a number or share is drawn from the frames that train. Files that name their groups by
    different keys take a list of them: the first that a frame has names its group. ``by: frame`` draws frames at
    random. ``by: start`` takes the first frames of each group named by ``group`` for training and validation, and
    tests on the rest.
    """

    by: str | list[str] = Field("frame", description="'frame', 'start', or the info keys that name a frame's group")
    group: str | None = Field(None, description="with by: start, the info key that names a run")
    train: PartSize = Field(None, description=f"for training: {SIZE}; null: what the other parts leave")
    validation: PartSizeOrNone = Field(
        None, description=f"for choosing the weights and the MD temperature: {SIZE}; null: a tenth"
    )
    test: PartSize = Field(None, description=f"for testing: {SIZE}; null: all others, or a tenth if train is also null")
    seed: Seed = Field(0, description="seed of the random choice")
    gap: CountOrNone = Field(
        0, description="with by: start, number of frames of each run left out before the test part"
    )
    train_frames: Count | None = Field(None, description="largest number of training frames, drawn evenly")
    validation_frames: Count | None = Field(None, description="largest number of validation frames, drawn evenly")
    test_frames: Count | None = Field(None, description="largest number of test frames, drawn evenly")

    @property
    def named(self) -> list[str]:
        """The parts that are given by names of groups."""
        return [part for part in PARTS if isinstance(getattr(self, part), str | list)]

    @model_validator(mode="after")
    def _one_way(self) -> SplitSettings:
        if self.named and self.by in ("frame", "start"):
            raise ValueError(f"{self.named[0]} names groups, so by must be the key with these names, not {self.by!r}")
        if self.named and not isinstance(self.train, str | list | None):
            raise ValueError(
                f"{self.named[0]} names groups but train counts them; name the training groups too (train_frames sets "
                "the number of their frames)"
            )
        return self


class PartFiles(Settings):
    """Files of each part; a part without files is drawn from those that train."""

    train: Listed[str] = Field(..., min_length=1, description="labelled structures for training")
    validation: Listed[str] = Field(default_factory=list, description="those for choosing the weights")
    test: Listed[str] = Field(default_factory=list, description="those for testing")

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {part: [files] if isinstance(files, str) else files or [] for part, files in given.items()}

    @model_validator(mode="after")
    def _apart(self) -> PartFiles:
        names = [*self.train, *self.validation, *self.test]
        if twice := named_twice(names):
            raise ValueError(f"{twice} is named twice; a file belongs to one part")
        return self


def _files(given: Any) -> Any:
    """Check files in a list, or of each part, so that a mistake is reported for the form that was used."""
    if isinstance(given, dict):
        try:
            return PartFiles.model_validate(given)
        except ValidationError as error:
            raise ValueError("; ".join(mistakes(error, PartFiles))) from None
    names = [given] if isinstance(given, str) else given
    if isinstance(names, PartFiles):
        return names
    if isinstance(names, list) and names and all(isinstance(n, str) for n in names):
        if twice := named_twice(names):
            raise ValueError(f"{twice} is named twice; name each file once")
        return names
    raise ValueError("it must list files, or contain train, validation and test with the files of each")


class DataSettings(Settings):
    """The DFT data."""

    files: Annotated[Listed[str] | PartFiles, BeforeValidator(_files)] = Field(
        ...,
        description="labelled structures, or 'phosphorus' for the embedded set; a list, or train, validation and test "
        "with the files of each",
    )
    elements: Listed[str] | None = Field(None, description="use only frames made of these elements; null: all frames")
    split: SplitSettings | None = Field(
        None, description="null: as stated in the files (split=train, val, test), else a tenth each at random"
    )

    @property
    def files_of(self) -> dict[str, list[str]]:
        """The files of each part; files given without a part are under ``train``."""
        if isinstance(self.files, list):
            return {"train": self.files}
        return {part: names for part, names in dict(self.files).items() if names}

    def located(self, locate: Callable[[str], str]) -> DataSettings:
        """Return the settings with file names as ``locate`` returns them; ``phosphorus`` is not a file."""
        places = {
            part: [name if name == "phosphorus" else locate(name) for name in names]
            for part, names in self.files_of.items()
        }
        return self.replace(files=places["train"] if isinstance(self.files, list) else places)

    @model_validator(mode="after")
    def _given_once(self) -> DataSettings:
        for part in ("validation", "test"):
            if part in self.files_of and self.split is not None and getattr(self.split, part) is not None:
                raise ValueError(f"{part} is given twice, as files and in split; remove one of them")
        if "test" in self.files_of and self.split is not None and self.split.by == "start":
            raise ValueError("split: by: start tests on the ends of runs, but test has files; split by frame or a key")
        return self
