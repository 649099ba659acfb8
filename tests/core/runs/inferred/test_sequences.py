"""Which calls are a run: the enumerated sequences, each that is one beside those that look like it and are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from otel_failover import FailoverInstrumentor
from tests.core.runs.inferred.played import WITHIN, play, runs_told

if TYPE_CHECKING:
    from tests.support.spans import Telemetry

ALL: Final = ("span", "each", "none")
TRACED: Final = ("span", "each")
"""With a trace that the tasks have in common."""


class Row(NamedTuple):
    """A sequence.

    Args:
        what: In words.
        sequence: As `played` has it.
        runs: That come of it, in the order of their start.
        around: Under which spans.
    """

    what: str
    sequence: str
    runs: tuple[str, ...] = ()
    around: tuple[str, ...] = ALL


ROWS: Final = (
    # --- what opens a run ---
    Row("another candidate after a failure", "A- B+", ("A- B+ fallback",)),
    Row("three, of which two fail", "A- B- C+", ("A- B- C+ fallback",)),
    Row("all fail", "A- B-", ("A- B- exhausted",)),
    Row("all three fail", "A- B- C-", ("A- B- C- exhausted",)),
    Row("repeats at the first count", "A- A- B+", ("A- A- B+ fallback",)),
    Row("repeats later join", "A- B- B- C+", ("A- B- B- C+ fallback",)),
    Row("back to the first", "A- B- A+", ("A- B- A+ primary",)),
    Row("a deadline around the first", "Ax B+", ("Ax B+ fallback",)),
    Row("deadlines around the first two", "Ax Bx C+", ("Ax Bx C+ fallback",)),
    Row("two rounds, each with its own", "A- B+ A2- B2+", ("A- B+ fallback", "A- B+ fallback")),
    Row("two rounds, the failure at the second", "A+ A2- B2+", ("A- B+ fallback",)),
    Row("something else asked between", "A- C2+ B+", ("A- B+ fallback",)),
    Row("by another task, once the first is over", "1:A- 1| 2:B+", ("A- B+ fallback",), TRACED),
    Row("all by tasks of their own", "1:A- 1| 2:B- 2| 3:C+", ("A- B- C+ fallback",), TRACED),
    Row("repeats by tasks of their own", "1:A- 1| 2:A- 2| 3:B+", ("A- A- B+ fallback",), TRACED),
    Row("by the same task in the end", "1:A- 2:C2- 1:B+", ("A- B+ fallback",)),
    # --- keys ---
    Row("a token is fetched anew", "A! a+"),
    Row("a token is fetched anew, by another task", "1:A! 1| 2:a+"),
    Row("a token is fetched anew, twice", "A! a! A+"),
    Row("a token is fetched anew in vain, and another candidate is asked", "A! a- B+", ("A- A- B+ fallback",)),
    Row("a token is refused, and another candidate is asked", "A! B+", ("A- B+ fallback",)),
    Row("the next key of a pool", "A- a+", ("A- A+ fallback",)),
    Row("the next key of a pool, once one was refused", "A! a- A+", ("A- A- A+ primary",)),
    # --- documents, panels, routers ---
    Row("two documents, both failed over", "A8- B8- A9- B9+", ("A- B- exhausted", "A- B+ fallback")),
    Row("two documents, the first left", "A8- A9- B9+", ("A- B+ fallback",)),
    Row("two documents, each of one candidate", "A8- B9+"),
    Row("a router fails, and the model is asked", "A6- B7+"),
    Row("a router fails over, and so does the model", "A6- B6+ A7- B7+", ("A- B+ fallback", "A- B+ fallback")),
    # --- two requests in one trace ---
    Row("two users, each with its own", "1:A- 2:A- 1:B+ 2:B+", ("A- B+ fallback", "A- B+ fallback")),
    Row("two users, the second after a third's answer", "1:A- 2:A- 1:B+ 2:C+", ("A- B+ fallback",), TRACED),
    Row("two users, crosswise", "1:A- 2:A- 2:B+ 1:B+", ("A- B+ fallback", "A- B+ fallback")),
    Row("two users, one gives up", "1:A- 2:A- 2:B+", ("A- B+ fallback",)),
    Row(
        "two users, a task for each call, side by side",
        "1:A~- 2:A~- 1. 2. 1| 2| 3:B+ 3| 4:B+",
        ("A- B+ fallback", "A- B+ fallback"),
        TRACED,
    ),
    Row("two users, one fails while the other is at work", "1:A- 2:B+"),
    Row("the other's task asks, which is not over", "1:A- 2:B- 1:A+"),
    # --- no failover ---
    Row("all is well", "A+ B+"),
    Row("retries at one candidate", "A- A- A-"),
    Row("a retry that is answered", "A- A+"),
    Row("a retry that is answered, then a comparison", "A- A+ B+"),
    Row("another question", "A- B2+"),
    Row("another question of the same, and of another", "A- A2+ B2+"),
    Row("two at once, one of which fails", "1:A~- 2:B~+ 1. 2."),
    Row("two at once, both fail", "1:A~- 2:B~- 1. 2."),
    Row("two at once, the second fails first", "1:A~+ 2:B- 1."),
    Row("too late", "A- zz B+"),
    Row("too late, though asked again in between at the same", "A- zz A- zz B+"),
    Row("asked too late for the first, not for the second", "A- zz A- B+", ("A- B+ fallback",)),
    Row("answered by a third before", "A2- D+ A- B+"),
    Row("answered by a third in another task", "1:A2- 2:D+ 1:A- 1:B+", (), TRACED),
    Row("answered by the same before, in another task", "1:A2- 2:B+ 1:A- 1:B+", ("A- B+ fallback",), TRACED),
    Row("in another task, without a trace", "1:A- 1| 2:B+", (), ("none",)),
    # --- hedges ---
    Row("a hedge is answered first", "1:A- 1:B~+ 2:C+ 1.", ("A- B+ fallback",)),
    Row("a hedge is answered, the other fails", "1:A- 1:B~- 2:C+ 1.", ("A- B- unseen",), TRACED),
    Row("a hedge fails, the other is answered", "1:A- 1:B~+ 2:C- 1.", ("A- B+ fallback",)),
    Row("all of a hedge fail", "1:A- 1:B~- 2:C- 1.", ("A- B- exhausted",)),
    # --- asked again after an answer ---
    Row("again, of a new one", "A- B+ C+", ("A- B+ C+ unseen",), TRACED),
    Row("again, of a new one that fails", "A- B+ C-", ("A- B+ C- unseen",), TRACED),
    Row("again, of the same", "A- B+ B+", ("A- B+ fallback",)),
    Row("again, of the first", "A- B+ A+", ("A- B+ fallback",)),
    Row("again from the first on", "A- B+ A- B+", ("A- B+ fallback", "A- B+ fallback")),
    Row("again, where it is over with the answer", "A- B+ C+", ("A- B+ fallback",), ("none",)),
    # --- declared runs beside it ---
    Row("a declared run fails, and a call follows", "( A- ) B+"),
    Row("a call fails, and a declared run follows", "A- ( B+ )"),
    Row("answered by a declared run", "A- B- ( C+ )", ("A- B- unseen",), TRACED),
    Row("served, and answered by a declared run too", "A- B+ ( C+ )", ("A- B+ unseen",), TRACED),
    Row("a declared run was asked another thing", "A- B- ( C2+ )", ("A- B- exhausted",), TRACED),
    Row("a declared run was asked, and failed", "A- B- ( C- )", ("A- B- exhausted",), TRACED),
    Row("answered by a declared run before", "A- ( C+ ) B+", (), TRACED),
    # --- the end ---
    Row("nobody asks for long, then once more", "A- B- zz C+", ("A- B- exhausted",)),
    Row("served, and asked again after long", "A- B+ zz C+", ("A- B+ fallback",)),
    Row("the span ends, and another asks", "A- B- H C+", ("A- B- exhausted",), ("span",)),
    # --- documented false runs and misses ---
    Row("a health check of two", "A- B+", ("A- B+ fallback",)),
    Row("a comparison of three, asleep", "D+ A- B+", ("A- B+ fallback",)),
)


@pytest.mark.parametrize(
    ("row", "around"),
    [pytest.param(row, around, id=f"{row.what} [{around}]") for row in ROWS for around in row.around],
)
def test_a_sequence_is_these_runs_and_no_others(telemetry: Telemetry, row: Row, around: str) -> None:
    if "zz" in row.sequence:
        FailoverInstrumentor().uninstrument()
        FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, infer_within=WITHIN)
    play(telemetry, row.sequence, around)
    FailoverInstrumentor().uninstrument()
    assert runs_told(telemetry) == list(row.runs)


def test_each_row_says_another_thing() -> None:
    assert len({row.what for row in ROWS}) == len(ROWS)
    assert sum(bool(row.runs) for row in ROWS) >= 24
