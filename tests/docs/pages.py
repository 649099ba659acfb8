"""The documents, read: their blocks of code, tables, headings and links."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"

_BLOCK: Final = re.compile(r"^( *)```([\w-]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """One document.

    Args:
        name: Its path from the root of the repository.
    """

    name: str
    text: str = field(init=False, repr=False, compare=False)
    """As it stands there."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.path.read_text(encoding="utf-8"))

    @property
    def path(self) -> Path:
        return ROOT / self.name

    @property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return _BLOCK.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        """Return the blocks of code in a language, in their order."""
        return [textwrap.dedent(code) for _, found, code in _BLOCK.findall(self.text) if found == language]

    @property
    def languages(self) -> list[str]:
        """The language of each block of code."""
        return [found for _, found, _ in _BLOCK.findall(self.text)]

    @property
    def anchors(self) -> set[str]:
        """What a link may name after `#`: as GitHub makes it of headings, and as mkdocs does."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}

    @property
    def links(self) -> list[str]:
        """The targets of all links and pictures."""
        return re.findall(r"\]\(([^)\s]+)\)", self.prose)

    def section(self, title: str) -> str:
        """Return the text between a heading and the next one of its level or above."""
        (level,) = re.findall(rf"^(#+) {re.escape(title)}$", self.prose, re.MULTILINE)
        following = re.split(rf"^#+ {re.escape(title)}$", self.prose, maxsplit=1, flags=re.MULTILINE)[1]
        return re.split(rf"^#{{1,{len(level)}}} ", following, maxsplit=1, flags=re.MULTILINE)[0]

    def tables(self, title: str = "") -> list[list[list[str]]]:
        """Return the cells of each table, its head first, of a section or of the whole page."""
        text = self.section(title) if title else self.prose
        found = re.findall(r"(?:^ *\|.+\|\n?)+", text, re.MULTILINE)
        return [
            [_cells(line) for line in table.splitlines() if not re.match(r"^ *\|[-:| ]+\|$", line)] for table in found
        ]

    def rows(self, title: str = "") -> list[list[str]]:
        """Return the rows of all tables of a section or of the whole page whose first cell is a name, heads left out."""
        return [row for table in self.tables(title) for row in table[1:] if row[0].startswith("`")]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def plain(cell: str) -> str:
    """Return a cell's only code word."""
    (word,) = words(cell)
    return word


def words(cell: str) -> list[str]:
    """Return the code words of a cell."""
    found: list[str] = re.findall(r"`([^`]+)`", cell)
    return found


README: Final = Page("README.md")
SITE: Final = {
    page.name: page for page in (Page(path.relative_to(ROOT).as_posix()) for path in sorted(DOCS.rglob("*.md")))
}
"""The pages under `docs/`, by their path."""
BESIDE: Final = {
    page.name: page
    for page in (
        Page("CONTRIBUTING.md"),
        Page("CHANGELOG.md"),
        Page("SECURITY.md"),
        *(Page(path.relative_to(ROOT).as_posix()) for path in sorted((ROOT / "examples").glob("*/README.md"))),
    )
}
"""What stands beside them."""
PAGES: Final = {README.name: README, **SITE, **BESIDE}


def page(name: str) -> Page:
    """Return a page under `docs/` by its path there, without the ending."""
    return SITE[f"docs/{name}.md"]
