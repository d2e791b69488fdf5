"""The report of a run: one HTML file that needs nothing else, and every figure as PNG, PDF and CSV beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keel.files import replace_file
from keel.reporting.page.template import filled, text
from keel.reporting.run.notes import remarks, story, tiles
from keel.reporting.run.sections import Album, sections
from keel.reporting.run.skill import skills
from keel.reporting.run.tables import versions_table
from keel.reporting.strategies import Verdict, compare, verdicts
from keel.results.run import RunResults, load_results


@dataclass(frozen=True)
class NetworkPart:
    """The verdicts on one network and its key numbers, and what stands above them if it has learnt nothing."""

    name: str
    verdicts: tuple[Verdict, ...]
    tiles: tuple[tuple[str, str, str], ...]
    warning: str | None


def write_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run folder: ``report.html`` and ``figures/NAME.{png,pdf,csv}``.

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
        If the folder is none of a run, or a file of it is absent or damaged.
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
    warnings = {skill.network: skill.sentence for skill in skills(results.trials) if skill.is_none}
    compared = {network: compare(results.records, network) for network in results.networks}
    return filled(
        "run/report.html",
        text("page/page.css"),
        results=results,
        parts=[NetworkPart(n, verdicts(s), tiles(s), warnings.get(n)) for n, s in compared.items()],
        story=story(results),
        remarks=remarks(results),
        sections=[section for section in sections(results, compared, album) if section],
        versions=versions_table(results),
        images=album.folder.name,
    )
