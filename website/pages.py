"""The pages of the site, as plain Markdown in build/pages: those of docs/, and those made from the code and the README.

    python website/pages.py

Pages link as they do on GitHub. A link to what is no page of the site, such as ``../examples/silica.yaml``, leads to a
page that shows that file. Tutorials have the outputs of their notebooks, formulas are MathML.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

import notebooks
import reference

ROOT = Path(__file__).parents[1]
DOCS, PAGES = ROOT / "docs", ROOT / "build" / "pages"
FROM_ROOT = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files of the repository that are pages."""
FROM_CODE = {"src/keel/cli.py": "reference/commands.md", "src/keel/__init__.py": "reference/keel.md"}
"""Files that stand for pages of reference, where documents link to them."""
EVERYTHING = """
## Everything

[Every command, every setting and every public class](docs/reference/index.md) ·
[getting started](docs/getting-started.md) · [which remedy for which failure](docs/remedies.md) ·
[the method](docs/method.md)
"""
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
TARGET = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\w$\\`])\$(?![\s$])([^$\n`]+?)(?<![\s\\])\$(?![\w$])", re.DOTALL)


def written() -> dict[str, str]:
    """Return the text of every page by its name, as it is in the repository or made."""
    pages = {path.relative_to(DOCS).as_posix(): path.read_text() for path in DOCS.rglob("*.md")}
    for name in list(pages):
        notebook = (DOCS / name).with_suffix(".ipynb")
        if notebook.is_file():
            pages[name] = notebooks.page_of(json.loads(notebook.read_text()), notebook.stem)
    pages |= {page: (ROOT / source).read_text() for source, page in FROM_ROOT.items()}
    pages["index.md"] += EVERYTHING
    pages["cite.md"] = citation()
    return pages


def complete(pages: dict[str, str]) -> dict[str, str]:
    """Return the pages of the site: links lead to each other, and to pages of the files that are linked to."""
    done, left = {}, dict(pages)
    while left:
        name, text = left.popitem()
        for path in linked(source_of(name), text):
            page = page_of(path)
            if page.startswith("files/") and page not in {*done, *left, name} and (ROOT / path).exists():
                left[page] = showing(path)
        done[name] = with_formulas(with_links(name, text))
    return done


def showing(path: str) -> str:
    """Return a page that shows a file, or what is in a folder."""
    file = ROOT / path
    if file.is_dir():
        return f"# {path}\n\n" + "\n".join(f"* [{one.name}]({file.name}/{one.name})" for one in sorted(file.iterdir()))
    content = file.read_text()
    return content if path.endswith(".md") else f"# {path}\n\n```{suffix(path)}\n{content}\n```\n"


def main() -> None:
    """Write the pages and what goes with them."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(DOCS, PAGES, ignore=shutil.ignore_patterns("*.md"))
    for name, text in {**complete(written()), **dict(reference.pages())}.items():
        path = PAGES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def outside_code(change: Any, text: str) -> str:
    """Change a text, but not its blocks of code."""
    return "".join(part if part.startswith("```") else change(part) for part in FENCE.split(text))


def with_links(name: str, text: str) -> str:
    """Turn the links of a file of the repository into those of its page."""

    def to_page(match: re.Match[str]) -> str:
        target = page_of(in_repository(source_of(name), match[1]))
        return os.path.relpath(target, PurePosixPath(name).parent).replace(os.sep, "/") + (match[2] or "")

    return outside_code(lambda part: TARGET.sub(to_page, part), text)


def with_formulas(text: str) -> str:
    """Turn formulas into MathML, which browsers show without a script, where a page has any on lines of their own."""
    if "$$" not in text:
        return text
    from latex2mathml.converter import convert

    def to_mathml(match: re.Match[str]) -> str:
        block, inline = match.groups()
        if block:
            return f'<div class="formula">{convert(" ".join(block.split()), display="block")}</div>'
        return f"<span>{convert(inline)}</span>"

    return outside_code(lambda part: FORMULA.sub(to_mathml, part), text)


def page_of(path: str) -> str:
    """Return the page or file of the site that shows a file of the repository."""
    room = re.fullmatch(r"src/keel/(\w+)/__init__.py", path)
    if path in FROM_ROOT or path in FROM_CODE:
        return {**FROM_ROOT, **FROM_CODE}[path]
    if room:
        return f"reference/{room[1]}.md"
    if path.startswith("docs/") and not (ROOT / path).is_dir():
        return path.removeprefix("docs/")
    # Names that begin with a dot are left out by MkDocs.
    return f"files/{path.removeprefix('.').removesuffix('.md')}.md"


def source_of(page: str) -> str:
    """Return the file of the repository that a page is made of."""
    for source, made in FROM_ROOT.items():
        if page == made:
            return source
    return page.removeprefix("files/") if page.startswith("files/") else f"docs/{page}"


def in_repository(source: str, target: str) -> str:
    """Return the path that a relative link of a file means, from the root of the repository."""
    return os.path.normpath(PurePosixPath(source).parent / target).replace(os.sep, "/")


def linked(source: str, text: str) -> set[str]:
    """Return the files of the repository that a text links to."""
    words = "".join(part for part in FENCE.split(text) if not part.startswith("```"))
    return {in_repository(source, match[1]) for match in TARGET.finditer(words)}


def suffix(path: str) -> str:
    """Return the language of a file."""
    return {"cff": "yaml", "yml": "yaml", "sh": "bash"}.get(ending := path.rpartition(".")[2], ending)


def citation() -> str:
    """Return the page on how to cite, from CITATION.cff."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    paper = cited["preferred-citation"]
    return "\n".join(_citation(cited, paper, " and ".join(a["family-names"] for a in paper["authors"])))


def _citation(software: dict[str, Any], paper: dict[str, Any], authors: str) -> Iterator[str]:
    preprint = paper["identifiers"][0]["value"]
    yield f"# How to cite\n\n{software['message']}\n"
    yield f"> {authors}, *{paper['title']}*, {paper['journal']} ({paper['year']}),"
    yield f"> [doi:{paper['doi']}](https://doi.org/{paper['doi']}), "
    yield f"> [{preprint}](https://arxiv.org/abs/{preprint.removeprefix('arXiv:')}).\n"
    yield "```bibtex\n@article{zheng-fung-" + str(paper["year"]) + ","
    yield f"  title = {{{{{paper['title']}}}}},\n  author = {{{authors}}},\n  journal = {{{paper['journal']}}},"
    yield f"  year = {{{paper['year']}}},\n  doi = {{{paper['doi']}}},\n  note = {{{preprint}}},\n}}"
    yield f"@software{{keel,\n  title = {{{software['title']}: {software['abstract']}}},"
    yield f"  author = {{{{{software['authors'][0]['name']}}}}},"
    yield f"  version = {{{reference.keel.__version__}}},\n}}\n```\n"
    yield "Networks and other methods have papers of their own: see the [first page](../README.md)."


if __name__ == "__main__":
    main()
