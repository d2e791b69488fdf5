"""The report of a run: one HTML file that needs nothing else, and every figure as PNG, PDF and CSV beside it."""

from __future__ import annotations

from pathlib import Path

from keel.files import replace_file
from keel.reporting.page.template import filled, text
from keel.reporting.run.judgement import judgements
from keel.reporting.run.notes import remarks, story, tiles
from keel.reporting.run.sections import Album, sections
from keel.reporting.run.tables import versions_table
from keel.reporting.run.winner import RULE, exportable, uses, winners
from keel.results.index import RunIndex
from keel.results.named import name_all
from keel.results.run import RunResults, load_results


def write_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run folder: ``report.html`` and ``figures/NAME.{png,pdf,csv}``.

    Potentials without a plain name (:mod:`keel.results.named`) are given one.

    Parameters
    ----------
    folder
        The run folder.
    out
        Another HTML file, with its figures in ``NAME-figures/`` beside it, or an existing folder for both.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    DataError
        If the folder is not a run folder, or a file of it is absent or damaged.
    """
    results = load_results(folder)
    path, images = places(Path(folder), None if out is None else Path(out))
    page = render(results, Album(images))
    replace_file(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return path


def places(folder: Path, out: Path | None) -> tuple[Path, Path]:
    """Return the HTML file and the folder of its figures."""
    if out is None or out.is_dir():
        parent = out or folder
        return parent / "report.html", parent / "figures"
    return out, out.with_name(f"{out.stem}-figures")


def render(results: RunResults, album: Album) -> str:
    """Return the page as HTML, saving its figures on the way."""
    found, files = judgements(results), name_all(results.folder, RunIndex.read(results.folder))
    chosen = [winner for winner in winners(found) if winner.name in files]
    compared = {judgement.network: judgement.strategies for judgement in found}
    return filled(
        "run/report.html",
        text("page/page.css"),
        results=results,
        parts=[(judgement, tiles(judgement.strategies)) for judgement in found],
        winners=chosen,
        rule=RULE,
        uses=uses(files[chosen[0].name], exportable(results.folder, files)) if chosen else [],
        files=files,
        story=story(results),
        remarks=remarks(results),
        sections=[section for section in sections(results, compared, album) if section],
        versions=versions_table(results),
        images=album.folder.name,
    )
