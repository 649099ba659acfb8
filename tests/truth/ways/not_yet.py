"""What does not hold yet: rows of the tables, by name, in one place.

By kind: an SDK's rendering of a short message, that only its code tells, wrapped or escaped so that the code is not read
(`pure/*/escaped-openai-sdk-*`).

A row that is named here and holds fails the tests as well, so that the list can only shrink. `FAILOVER_NOT_YET=write`
makes the tests write it anew.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIST: Final = Path(__file__).with_name("not_yet.txt")


def holds(table: str, row: str) -> bool:
    """Whether nothing of a row is named in the list: random cases are made of those rows only.

    Args:
        table: Name of the table.
        row: A way's or a channel's name.
    """
    return row not in _failing(table)


@functools.cache
def _failing(table: str) -> frozenset[str]:
    rows = (name.split("/") for name in _LIST.read_text("utf-8").split())
    return frozenset(part for first, *parts in rows if first == table for part in parts)


def compared(table: str, problems: Mapping[str, str | None]) -> list[str]:
    """Return what is not as the list has it: a row that fails and is not named, or is named and holds.

    Args:
        table: Name of the table, the first part of its rows' names in the list.
        problems: What is wrong, by row, of all that were tried.
    """
    mine = {f"{table}/{row}": problem for row, problem in problems.items()}
    named = set(_LIST.read_text("utf-8").split())
    if os.environ.get("FAILOVER_NOT_YET") == "write":
        failed = {name for name, problem in mine.items() if problem}
        _LIST.write_text("".join(f"{name}\n" for name in sorted((named - set(mine)) | failed)), "utf-8")
        return []
    wrong = [f"{name}: {problem}" for name, problem in mine.items() if problem and name not in named]
    return wrong + [f"{name}: holds by now" for name, problem in mine.items() if not problem and name in named]
