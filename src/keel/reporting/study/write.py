"""Write a study: tables from run folders, figures and a page from the tables."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from keel.errors import DataError
from keel.files import replace_file
from keel.reporting.figures import ReportFigure
from keel.reporting.study.collect import collect, run_folders
from keel.reporting.study.columns import TABLES
from keel.reporting.study.data import read_study
from keel.reporting.study.page import render
from keel.reporting.study.panels import save
from keel.reporting.study.rows import write_tables


def write_study(folder: str | Path, out: str | Path | None = None) -> Path:
    """Combine run folders into ``tables/``, ``figures/`` and ``study.md``.

    Figures and page are made from the tables alone: a folder with only ``tables/`` gives the same result.

    Parameters
    ----------
    folder
        The folder of run folders written by `keel run`, finished or not; or only of ``tables/``.
    out
        Another folder for the output.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    DataError
        If there is neither a run with a finished trial nor a table, or one of their files is damaged.
    """
    folder = Path(folder)
    target = folder if out is None else Path(out)
    _tables(folder, target / "tables")
    study = read_study(target / "tables")
    if not len(study.tables["cells"]):
        raise DataError(
            f"{target / 'tables' / 'cells.csv'} contains no trial; write the study again from its run folders"
        )
    page = render(study, lambda picture: _shown(picture, target / "figures"))
    path = target / "study.md"
    replace_file(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return path


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study, with run folders or tables in it, and not that of one run."""
    return bool(run_folders(folder)) or (folder / "tables" / "cells.csv").is_file()


def _tables(folder: Path, tables: Path) -> None:
    """Write the tables from run folders, or use the existing ones."""
    systems, runs = collect(folder)
    if systems:
        write_tables(tables, systems, runs)
    elif not (folder / "tables").is_dir():
        raise DataError(f"{folder} contains no run with a finished trial; make them with `keel study`")
    elif tables.resolve() != (folder / "tables").resolve():
        for name in (*(f"{table}.csv" for table in TABLES), "runs.json"):
            if (source := folder / "tables" / name).is_file():
                replace_file(tables / name, partial(shutil.copyfile, source))


def _shown(picture: ReportFigure, folder: Path) -> str:
    save(picture, folder)
    return f"![{picture.alt}]({folder.name}/{picture.name}.png)\n\n*{picture.title}. {picture.caption}*"
