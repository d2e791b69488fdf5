"""The page that shows whether a potential can be trusted in MD, and the page that compares several."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from keel.errors import ConfigError
from keel.files import replace_file
from keel.reporting.assessment.advice import next_step
from keel.reporting.assessment.pairs import Versus, comparisons
from keel.reporting.assessment.parts import probes
from keel.reporting.page.template import filled, text
from keel.results.assessment import Assessment, write_assessments
from keel.version import __version__


def write_assessment(assessments: Sequence[Assessment], path: str | Path) -> Path:
    """Write the results of probes as one self-contained HTML file, and as JSON and CSV beside it.

    For one potential it is the assessment page; several are shown side by side, and compared with the first one.

    Parameters
    ----------
    assessments
        At least one.
    path
        Of the HTML file; the numbers go to the same name with ``.json`` (all results but films; read again by
        :func:`~keel.results.assessment.read_assessments`) and ``.csv`` (a line for each metric).

    Returns
    -------
    Path
        The HTML file, below 10 MB: it states what is left out of long curves and films.

    Raises
    ------
    ConfigError
        If there is no assessment, or two potentials have one name.
    """
    if not assessments:
        raise ConfigError("there is no assessment to write; give at least one")
    repeated = [name for name, count in Counter(a.potential for a in assessments).items() if count > 1]
    if repeated:
        raise ConfigError(f"two potentials are named {repeated[0]!r}; to compare them, give each its own name")
    path = Path(path)
    pairs = comparisons(assessments)
    page = render(assessments, path.stem, pairs)
    replace_file(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    write_assessments(assessments, path.with_suffix(".json"), __version__, [pair.to_dict() for pair in pairs])
    return path


def render(assessments: Sequence[Assessment], stem: str, pairs: Sequence[Versus] = ()) -> str:
    """Return the page as HTML; its numbers lie beside it in files of this name."""
    from markupsafe import Markup

    from keel.atoms.picture import BALL
    from keel.comparison.paired import EFFECTS
    from keel.reporting.page.film import BOND
    from keel.reporting.page.plot import DASHES
    from keel.wording import OUTCOMES, SYMBOLS, capitalised, duration, number, typeset

    program = text("page/plots.js", "page/viewer.js")
    return filled(
        "assessment/assessment.html",
        text("page/page.css", "assessment/assessment.css"),
        {"number": number, "typeset": typeset, "duration": duration, "capitalised": capitalised},
        assessments=assessments,
        probes=probes(assessments),
        pairs=pairs,
        effects=EFFECTS,
        outcomes=OUTCOMES,
        symbols=SYMBOLS,
        steps=[next_step(assessment) for assessment in assessments],
        dashes=DASHES,
        ball=BALL,
        bond=BOND,
        stem=stem,
        program=Markup(program),
        digest=base64.b64encode(hashlib.sha256(program.encode()).digest()).decode("ascii"),
    )
