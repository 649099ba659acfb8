"""Loops with a habit are found out, each by the cases that are about it; the same loop without it is not."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from otel_failover.testing.scenarios import CASES, Conditions, try_case, try_loop
from otel_failover.testing.scenarios.judging import FAULTS, FINE, NOTES
from otel_failover.testing.scenarios.telling import sentences, table
from tests.testing.scenarios import loops

if TYPE_CHECKING:
    from otel_failover.testing.scenarios import Case

BY_NAME: Final = {case.name: case for case in CASES}
PATIENT: Final = Conditions(timeout=30, deadline=60)
"""Where an answer comes, for as long as a busy machine may need."""
QUICK: Final = Conditions(timeout=1.5, deadline=60)
"""Where one never does."""
SHORT: Final = Conditions(timeout=1.5, deadline=3)
"""For a loop that hangs: a test of it takes as long as its deadline."""


def conditions(case: Case, loop: Any) -> Conditions:
    """Return under which a case is tried: as patiently as may be."""
    if loop in (loops.waits_for_ever, loops.never_gives_up) and case.name != "healthy":
        return SHORT
    found = QUICK if case.is_silent or case.expected == "cancelled" else PATIENT
    return replace(found, providers=("openai",)) if case.needs == "stream" else found


HABITS: Final[dict[Any, dict[str, str]]] = {
    loops.stops_at_a_400: {"out_of_money": "stopped", "bare_400": "stopped", "bad_key": "went on"},
    loops.knows_few_errors: {
        "unknown_model": "stopped",
        "odd_status": "stopped",
        "bad_key": "stopped",
        "gateway_page": "stopped",
        "rate_limited": "went on",
        "all_fail": "told in part",
    },
    loops.swallows: {"all_fail": "swallowed the error", "all_down": "swallowed the error", "down": "went on"},
    loops.blames_the_first: {
        "stale_error": "blamed the wrong one",
        "all_fail": "blamed the wrong one",
        "two_fail": "went on",
        "all_down": "told",
    },
    loops.remembers_for_ever: {
        "one_after_another": "blamed the wrong one",
        "two_at_once": "blamed the wrong one",
        "rate_limited": "went on",
    },
    loops.waits_for_ever: {"hangs": "hung", "reset": "went on"},
    loops.asks_three_times: {"hangs": "served late", "bad_key": "repeated a refusal", "server_error": "went on"},
    loops.never_gives_up: {"server_error": "asked in a storm", "healthy": "served"},
    loops.sends_one_key: {"rate_limited": "showed a secret", "healthy": "served"},
    loops.logs_its_headers: {"healthy": "showed a secret"},
    loops.prints_its_key: {"healthy": "showed a secret"},
    loops.raises_what_came: {"key_in_error": "showed a secret", "all_fail": "told in part", "stale_error": "told"},
    loops.takes_what_came: {
        "stream_cut": "took a part",
        "stream_truncated": "took a part",
        "stream_error": "took a part",
        "healthy": "served",
    },
    loops.pieces_halves_together: {"stream_cut": "took a part", "stream_error": "took a part"},
    loops.takes_any_200: {"error_in_200": "swallowed the error", "page_in_200": "swallowed the error",
                          "empty_answer": "took an empty answer"},
    loops.loses_the_answer: {"rate_limited": "failed", "healthy": "served"},
    loops.hears_no_cancel: {"cancelled": "went on when cancelled", "hangs": "went on"},
    loops.good_stream: {"stream_cut": "went on", "stream_truncated": "went on", "stream_error": "went on",
                        "healthy": "served"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("loop", "case", "verdict"),
    [
        pytest.param(loop, case, verdict, marks=[pytest.mark.slow] if verdict in ("hung", "served late") else [])
        for loop, found in HABITS.items()
        for case, verdict in found.items()
    ],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_a_habit_is_found_out_by_the_case_that_is_about_it(loop: Any, case: str, verdict: str) -> None:
    loops.remembered.clear()
    result = try_case(BY_NAME[case], loop, conditions(BY_NAME[case], loop))
    assert (result.verdict, result.is_fault) == (verdict, verdict in FAULTS), result.happened


@pytest.mark.slow
@pytest.mark.parametrize("loop", [loops.good, loops.good_async], ids=lambda each: each.__name__)
def test_a_loop_without_a_habit_is_right_in_every_case(loop: Any) -> None:
    results = [try_case(case, loop, conditions(case, loop)) for case in CASES]
    assert [each.case for each in results] == list(BY_NAME)
    assert {each.case: each.verdict for each in results if each.verdict not in FINE} == {
        name: "not tried"
        for name, case in BY_NAME.items()
        if case.needs == "stream" or (case.needs == "async" and loop is loops.good)
    }
    assert results[0].requests == (1, 0, 0)


@pytest.mark.slow
def test_the_sdks_own_retries_are_seen() -> None:
    """Two of them by default: as often again is the first asked that says nothing."""
    result = try_case(BY_NAME["hangs"], loops.with_sdks, QUICK)
    assert (result.verdict, result.requests) == ("served late", (3, 1, 0))
    assert "It asked first 3 times in vain" in result.happened


def test_what_it_did_is_told_in_sentences_and_in_a_table() -> None:
    case = BY_NAME["unknown_model"]
    results = try_loop(loops.knows_few_errors, PATIENT, [BY_NAME["healthy"], case])
    told = " ".join(sentences(case, results[1]).split())
    assert told.startswith("unknown_model: stopped What happened: The first answers 404: it has no such model.")
    assert "What it did: It raised RefusedError: 404: {" in told
    assert told.endswith("never asked second. What is right: Go on: the second was well and would have answered.")
    head, *rows = table(results)
    assert head.split() == ["case", "what", "the", "loop", "did", "took", "asked"]
    assert rows[0].split()[0:2] == ["healthy", "served"]
    assert rows[1].split()[0:3] == ["x", "unknown_model", "stopped"]
    assert rows[1].endswith("1·0·0")
    assert rows[2:] == ["2 cases tried, 1 wrong", f"  stopped: {FAULTS['stopped']}"]


def test_a_loop_that_hangs_is_left_behind_and_costs_its_deadline() -> None:
    result = try_case(BY_NAME["hangs"], loops.waits_for_ever, Conditions(timeout=0.3, deadline=0.5))
    assert result.verdict == "hung"
    assert result.seconds < 10
    assert not [each for each in threading.enumerate() if each.name == "a loop that is tried" and not each.daemon]


def test_an_answer_of_another_that_is_well_is_one() -> None:
    """The second's stream is not understood here: to go on from it is no error that is hidden."""
    result = try_case(BY_NAME["stream_cut"], loops.good_stream, PATIENT)
    assert (result.verdict, result.is_fault) == ("took another's answer", False)
    assert result.happened == "It took third's answer; second had answered, too."


def test_what_a_call_returns_that_is_no_text_is_no_answer() -> None:
    result = try_case(BY_NAME["healthy"], lambda _: 42)  # type: ignore[arg-type]
    assert (result.verdict, result.happened) == (
        "swallowed the error",
        "It returned 42 as an answer, and never asked first.",
    )


def test_whatever_a_call_raises_stays_here() -> None:
    def leaves(_: Any) -> str:
        raise SystemExit(3)

    result = try_case(BY_NAME["healthy"], leaves)
    assert (result.verdict, result.happened) == ("stopped", "It raised SystemExit: 3, and never asked first.")


def test_every_case_is_told_in_whole_sentences() -> None:
    for case in CASES:
        assert case.situation[0].isupper()
        assert case.situation.endswith(".")
        assert case.right[0].islower()
        assert not case.right.endswith(".")
        assert 2 <= len(case.plans) <= 3
    assert not {*FINE, *NOTES} & set(FAULTS)
