"""Links and text of a site that has been built: what leads nowhere, and what Markdown was not understood.

python website/links.py site
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

LOST = re.compile(r"^(\* |\d+\. |\| ?[-:]|#{1,6} |```|:(func|class|mod|data|meth|attr):)", re.MULTILINE)
"""Markup that a reader should not see."""


class Page(HTMLParser):
    """The links, the anchors and the running text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.paragraphs: list[str] = []
        self._inside = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep where it leads, and what it is called."""
        named = dict(attrs)
        self.links |= {link for key in ("href", "src") if (link := named.get(key))}
        self.anchors |= {anchor for key in ("id", "name") if (anchor := named.get(key))}
        if tag == "p":
            self._inside = 1
            self.paragraphs.append("")
        elif tag in ("code", "pre", "svg", "math"):
            self._inside = 0

    def handle_endtag(self, tag: str) -> None:
        """End a paragraph."""
        if tag == "p":
            self._inside = 0
        elif tag in ("code", "math") and self.paragraphs:
            self._inside = 1

    def handle_data(self, data: str) -> None:
        """Keep the text of a paragraph."""
        if self._inside and self.paragraphs:
            self.paragraphs[-1] += data


def complaints(site: Path) -> Iterator[str]:
    """Yield a sentence for each link within a site that leads nowhere, and for each paragraph with markup in it."""
    pages = {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        for link in sorted(page.links):
            parts = urlsplit(link)
            # Absolute paths are those of the page for addresses that do not exist, which may be met anywhere.
            if parts.scheme or parts.netloc or link.startswith("/"):
                continue
            address, anchor = urldefrag(link)
            target = (path.parent / unquote(urlsplit(address).path)).resolve() if address else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{name}: the link {link} leads nowhere"
            elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                yield f"{name}: the link {link} leads to a page that has no such place"
        for paragraph in page.paragraphs:
            if lost := LOST.search(paragraph):
                yield f"{name}: markup was not understood: {paragraph[lost.start() : lost.start() + 60]!r}"


if __name__ == "__main__":
    found = list(complaints(Path(sys.argv[1]).resolve()))
    sys.exit("\n".join(found) if found else 0)
