"""Spans in any order, pictures of whole runs."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover.cli.drawing.span_view import LinkView, SpanView
from otel_failover.cli.drawing.tree import TraceTree
from otel_failover.cli.live.belonging import OpenAttempt
from otel_failover.cli.live.gathering import Gathering, Picture
from tests.cli.drawing.drawing import drawn, span

if TYPE_CHECKING:
    from collections.abc import Iterable

SECOND = 1_000_000_000


def run(number: int, parent: int | None = None, run_id: str = "r", outcome: str = "fallback", **more: Any) -> SpanView:
    facts = {"failover.run.id": run_id, "failover.outcome": outcome, "candidate.provider": "b", "candidate.model": "m"}
    return span("failover chat", number, parent, attributes=facts, **more)


def candidate(number: int, parent: int, provider: str = "a", run_id: str = "r", outcome: str = "error") -> SpanView:
    facts = {"candidate.provider": provider, "candidate.model": "m", "candidate.outcome": outcome}
    return span(f"candidate {provider}", number, parent, attributes={**facts, "failover.run.id": run_id})


def call(number: int, parent: int | None, **facts: Any) -> SpanView:
    """A call inside an attempt: its own outcome stands on the candidate's span."""
    return span("chat m", number, parent, attributes={"candidate.provider": "a", "candidate.model": "m", **facts})


def http(number: int, parent: int | None, *, inside: bool = True) -> SpanView:
    return span("POST", number, parent, scope="httpx", attributes={"candidate.provider": "a"} if inside else {})


def marker(number: int, parent: int) -> SpanView:
    facts = {"failover.attribution.rule": "stale_error", "failover.attribution.source.provider": "z"}
    return span("failover.attribution.mismatch", number, parent, status="ERROR", attributes=facts)


def in_trace(view: SpanView, trace: int) -> SpanView:
    return replace(view, trace_id=f"{trace:032x}")


def ids(pictures: Iterable[Picture]) -> list[set[int]]:
    return [{int(view.span_id, 16) for view in picture.views} for picture in pictures]


WHOLE = [http(4, 3), call(3, 2), candidate(2, 1), marker(7, 6), call(6, 5), candidate(5, 1, "b"), run(1, 100)]
"""As they end: the innermost first."""


def test_a_run_is_drawn_when_its_own_span_has_come() -> None:
    gathering = Gathering()
    assert [gathering.add([view], 0) for view in WHOLE[:-1]] == [[]] * (len(WHOLE) - 1)
    assert ids(gathering.add(WHOLE[-1:], 0)) == [{1, 2, 3, 4, 5, 6, 7}]
    assert gathering.rest() == []


def test_in_one_batch_the_order_is_of_no_importance() -> None:
    for seed in range(20):
        views = random.Random(seed).sample(WHOLE, len(WHOLE))
        assert ids(Gathering().add(views, 0)) == [{1, 2, 3, 4, 5, 6, 7}]


def test_whatever_comes_after_its_run_is_not_lost() -> None:
    """In any order of single spans, each of ours is drawn once."""
    ours = {int(view.span_id, 16) for view in WHOLE if view.scope == "otel_failover"}
    for order in itertools.permutations(WHOLE):
        gathering = Gathering()
        pictures = [picture for view in order for picture in gathering.add([view], 0)] + gathering.rest()
        seen = [number for each in ids(pictures) for number in each]
        assert sorted(set(seen) & ours) == sorted(ours), order
        assert len([number for number in seen if number in ours]) == len(ours), order


def test_two_runs_of_one_trace_are_two_pictures() -> None:
    gathering = Gathering()
    first, second = [candidate(2, 1), run(1, 9)], [candidate(4, 3, run_id="s"), run(3, 9, "s")]
    assert ids(gathering.add([first[0], second[0], second[1]], 0)) == [{3, 4}]
    assert ids(gathering.add(first[1:], 0)) == [{1, 2}]


def test_a_run_that_is_split_over_traces_is_one_tree() -> None:
    gathering = Gathering()
    gathering.add([in_trace(call(5, 4), 2), in_trace(candidate(4, 3, "b", outcome="success"), 2)], 0)
    (picture,) = gathering.add([candidate(2, 1), run(1)], 0)
    assert (
        drawn(TraceTree(picture.views))
        == """\
failover chat  fallback, served by b/m, N.NN s
├── candidate a  m  error, N.NN s
└── candidate b  m  success, N.NN s, in another trace
    └── chat m  N.NN s"""
    )


def test_an_attempt_that_stands_elsewhere_in_the_trace_stands_below_its_run() -> None:
    """An inferred run: later attempts stay where they were made."""
    (picture,) = Gathering().add([call(3, 2), candidate(2, 50), run(1, 60)], 0)
    assert drawn(TraceTree(picture.views)).splitlines()[1:] == [
        "└── candidate a  m  error, N.NN s",
        "    └── chat m  N.NN s",
    ]


def test_a_call_that_was_made_before_its_run_was_known_has_a_line_in_it() -> None:
    """An inferred run links to it; as a call it was drawn when it ended."""
    facts = {
        "candidate.provider": "openai",
        "candidate.model": "m",
        "candidate.outcome": "error",
        "failover.reason.code": "rate_limit",
    }
    nobodys = run(5)
    nobodys = replace(nobodys, attributes={**nobodys.attributes, "failover.library": "inferred"})
    inferred = replace(nobodys, links=(LinkView(f"{2:016x}", facts), LinkView(f"{3:016x}", {"somebody": "else"})))
    gathering = Gathering()
    earlier = call(2, None, **{"candidate.outcome": "error"})
    assert ids(gathering.add([earlier], 0)) == [{2}]
    (picture,) = gathering.add([candidate(6, 5, "b", outcome="success"), inferred], 0)
    assert (
        drawn(TraceTree(picture.views))
        == """\
failover chat  fallback, served by b/m, N.NN s, inferred
├── candidate openai  m  error rate_limit, asked before the run was known
└── candidate b  m  success, N.NN s"""
    )


def test_a_run_inside_a_run_is_not_drawn_twice() -> None:
    gathering = Gathering()
    assert ids(gathering.add([candidate(4, 3, run_id="in"), run(3, 2, "in")], 0)) == [{3, 4}]
    (picture,) = gathering.add([candidate(2, 1), run(1)], 0)
    assert (
        drawn(TraceTree(picture.views))
        == """\
failover chat  fallback, served by b/m, N.NN s
└── candidate a  m  error, N.NN s
    └── failover chat  fallback, served by b/m, N.NN s, drawn above"""
    )
    whole = [candidate(4, 3, run_id="in"), run(3, 2, "in"), candidate(2, 1), run(1)]
    assert ids(Gathering().add(whole, 0)) == [{1, 2, 3, 4}]


def test_what_comes_at_once_is_drawn_in_the_order_in_which_it_ended() -> None:
    """An inferred run began with the call that it links to."""
    earlier = replace(call(5, None, **{"candidate.outcome": "error"}), end=1)
    assert ids(Gathering().add([replace(run(4), end=2), earlier], 0)) == [{5}, {4}]


def test_a_run_may_wait_a_little_for_other_processes() -> None:
    gathering = Gathering(grace=SECOND)
    assert gathering.add([candidate(2, 1), run(1)], 0) == []
    assert gathering.add([http(3, 2)], SECOND // 2) == []
    assert ids(gathering.due(SECOND)) == [{1, 2, 3}]


# --- outside any run --------------------------------------------------------------------------------------------------


def test_a_call_outside_any_run_is_drawn_at_once() -> None:
    gathering = Gathering()
    (picture,) = gathering.add([http(3, 2), call(2, 9, **{"candidate.outcome": "success"})], 0)
    assert ids([picture]) == [{2}]
    assert drawn(TraceTree(picture.views)) == "chat m  a  success, N.NN s"


def test_a_call_that_carries_anothers_error_has_its_marker() -> None:
    first, then = marker(3, 2), call(2, 9, **{"candidate.outcome": "error", "failover.attribution.verdict": "mismatch"})
    gathering = Gathering()
    assert gathering.add([first], 0) == []
    assert ids(gathering.add([then], 0)) == [{2, 3}]
    assert ids(gathering.add([marker(4, 2)], 0)) == [{4}]


def test_anothers_call_span_outside_any_run_is_drawn_once_it_is_known_to_be_in_none() -> None:
    """It has the candidate's attributes, and the span around it has none."""
    theirs = span("chat m", 3, 2, scope="genai", attributes={"candidate.provider": "a"})
    around = span("GET /", 2, 9, scope="asgi")
    gathering = Gathering()
    assert gathering.add([theirs], 0) == []
    assert ids(gathering.add([around], 0)) == [{3}]
    assert ids(Gathering().add([around, theirs], 0)) == [{3}]
    assert ids(Gathering().add([replace(theirs, parent_id=None)], 0)) == [{3}]


def test_a_span_around_a_run_is_drawn_only_where_it_carries_anothers_error() -> None:
    gathering = Gathering()
    assert ids(gathering.add([candidate(2, 1), run(1, 9)], 0)) == [{1, 2}]
    assert gathering.add([span("GET /", 9, None, scope="asgi")], 0) == []
    blamed = span(
        "task", 9, None, scope="app", status="ERROR", attributes={"failover.attribution.verdict": "inconsistent"}
    )
    assert ids(Gathering().add([blamed], 0)) == [{9}]
    unwritten = span("task", 9, None, scope="app", status="ERROR")
    assert ids(Gathering().add([marker(10, 9), unwritten], 0)) == [{9, 10}]


def test_a_span_that_carries_anothers_error_waits_while_it_may_be_in_a_run() -> None:
    blamed = span("step", 5, 1, scope="app", attributes={"failover.attribution.verdict": "inconsistent"})
    gathering = Gathering()
    assert gathering.add([candidate(2, 1), blamed], 0) == []
    assert ids(gathering.add([run(1, 9)], 0)) == [{1, 2, 5}]
    beside = replace(blamed, parent_id=f"{9:016x}")
    gathering = Gathering()
    assert gathering.add([candidate(2, 1), beside], 0) == []
    assert ids(gathering.add([run(1, 9)], 0)) == [{1, 2}, {5}]


def test_a_hanging_candidate_is_told_at_once_and_in_its_run() -> None:
    facts = {"candidate.provider": "a", "failover.silent.duration": 181.0, "failover.run.id": "r"}
    hung = span("failover.hung", 3, 2, status="ERROR", attributes=facts)
    gathering = Gathering()
    assert ids(gathering.add([hung], 0)) == [{3}]
    assert ids(gathering.add([candidate(2, 1), run(1)], 0)) == [{1, 2, 3}]


# --- what does not end ------------------------------------------------------------------------------------------------


def test_at_the_end_runs_that_did_not_end_are_drawn_as_far_as_they_have_come() -> None:
    gathering = Gathering()
    gathering.add([call(3, 2), candidate(2, 1), call(5, 4), http(9, 8, inside=False)], 0)
    (picture,) = gathering.rest()
    assert picture.remark == "a run that has not ended"
    assert ids([picture]) == [{2, 3, 5}]
    assert gathering.rest() == []


def test_memory_is_bounded_and_nothing_of_ours_is_lost_silently() -> None:
    gathering = Gathering(most=50, most_others=20)
    pictures = []
    for number in range(1_000, 3_000, 2):
        views = [in_trace(candidate(number, number + 5_000, run_id=f"r{number}"), number)]
        pictures += gathering.add([*views, http(number + 1, 7, inside=False)], 0)
    assert 940 <= len(pictures) <= 960
    assert {picture.remark for picture in pictures} == {"a run that has not ended: too many spans wait"}
    assert len(pictures) + len(gathering.rest()) == 1_000


def test_spans_of_others_push_none_of_ours_out() -> None:
    gathering = Gathering(most_others=5)
    gathering.add([candidate(2, 1)], 0)
    for number in range(100, 200):
        gathering.add([span("SELECT", number, 1, scope="db")], 0)
    assert len(ids(gathering.add([run(1)], 0))[0]) == 1 + 1 + 5


@pytest.mark.parametrize("parents", [(2, 1), (1, 2), (1, 1)])
def test_spans_that_are_each_others_parent_hang_nothing(parents: tuple[int, int]) -> None:
    gathering = Gathering()
    gathering.add([candidate(1, parents[0]), candidate(2, parents[1]), run(3, 1), run(1, 3, "s")], 0)
    gathering.rest()


def test_anybody_may_send_anything() -> None:
    """Of another type than it should be, a value is not drawn; the span is."""
    facts = {"failover.run.id": ["r"], "candidate.provider": 5, "candidate.outcome": {"a": 1}, "failover.findings": 7}
    odd = [
        span(name, number, 1, attributes=facts)
        for number, name in enumerate(("candidate", "skip", "", "failover.hung"), 2)
    ]
    (picture, *_) = Gathering().add([*odd, span("failover", 1, attributes=facts)], 0)
    assert drawn(TraceTree(picture.views))


# --- what is still going ----------------------------------------------------------------------------------------------


def still(gathering: Gathering, seconds: float, *attempts: OpenAttempt) -> list[str]:
    return gathering.going(int(seconds * SECOND), attempts)[0]


def test_a_long_run_shows_that_it_is_still_going() -> None:
    """After 10 seconds, then at double the time, then every minute; by what has come of it."""
    gathering = Gathering()
    gathering.add([candidate(2, 1)], 0)
    told = [second for second in range(1, 300) if still(gathering, second)]
    assert told == [11, 22, 44, 88, 148, 208, 268]
    gathering.add([run(1)], 0)
    assert still(gathering, 1_000) == []


def test_what_is_open_in_this_process_is_told_with_what_has_ended() -> None:
    gathering = Gathering()
    gathering.add([candidate(2, 1)], 0)
    open_now = OpenAttempt("r", "failover chat", "b m", 2 * SECOND, 0)
    assert still(gathering, 42, open_now) == ["failover chat still going, 42 s: a error, b m open for 40 s"]
    assert still(Gathering(), 12, open_now) == ["failover chat still going, 12 s: b m open for 10 s"]


def test_a_candidate_that_was_silent_and_has_ended_is_told_once() -> None:
    gathering = Gathering()
    facts = {"failover.run.id": "r", "candidate.provider": "a", "failover.silent.duration": 7.0}
    silent = span("failover.hung", 3, 2, attributes=facts)
    gathering.add([silent], 0)
    assert still(gathering, 12) == ["failover still going, 12 s: a silent"]
    gathering.add([candidate(2, 1)], 12 * SECOND)
    assert still(gathering, 25) == ["failover still going, 25 s: a error"]


def test_a_run_that_was_served_is_not_still_going() -> None:
    """An inferred run ends with the span around it, however long that goes on."""
    gathering = Gathering()
    gathering.add([candidate(2, 1, outcome="success")], 0)
    assert still(gathering, 30) == []


def test_nobody_waits_for_a_run_of_which_nothing_is_heard_any_more() -> None:
    """Its process may be gone."""
    gathering = Gathering()
    gathering.add([candidate(2, 1)], 0)
    lines, pictures = gathering.going(901 * SECOND)
    assert (lines, ids(pictures)) == ([], [{2}])
    assert pictures[0].remark == "a run that has not ended: nothing was heard of it for 15 minutes"
    assert gathering.going(2_000 * SECOND) == ([], [])
