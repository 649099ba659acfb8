"""A trace in the terminal: whole trees as they are drawn."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import anthropic
import pytest

from otel_failover.cli.demo.scenarios import FIRST_ERROR_AGAIN, INCIDENT
from otel_failover.cli.demo.stage import Act, Stage
from otel_failover.cli.demo.tables import ClaimsTable
from otel_failover.cli.drawing.span_view import EventView, SpanView
from otel_failover.cli.drawing.tree import TraceTree
from tests.cli.drawing.drawing import drawn, span

if TYPE_CHECKING:
    from collections.abc import Iterator

SDK_MAKES_SPANS = "open_telemetry" in inspect.signature(anthropic.Anthropic.__init__).parameters
ANTHROPICS_CALL = (
    "anthropic.messages.create  error client_timeout_error"
    if SDK_MAKES_SPANS
    else "chat claude-opus-4-7  error anthropic.APITimeoutError"
)


@pytest.fixture(scope="module")
def acts() -> Iterator[dict[str, Act]]:
    """The two wrong loops, played once."""
    with Stage() as stage:
        yield {scenario.name: stage.play(scenario) for scenario in (INCIDENT, FIRST_ERROR_AGAIN)}


def test_the_incident_as_a_tree(acts: dict[str, Act]) -> None:
    """Who failed, of what, and whose error the second one was given: at once, in 80 columns."""
    assert (
        drawn(TraceTree(acts["incident"].views))
        == f"""\
failover chat  fallback, served by gcp.gemini/gemini-2.5-flash, N.NN s
├── candidate openai  gpt-5.5  error 429 billing, N.NN s  verified
│   └── chat gpt-5.5  error 429 openai.RateLimitError, N.NN s
├── candidate anthropic  claude-opus-4-7  error timeout, N.NN s  mismatch
│   ├── {ANTHROPICS_CALL}, N.NN s
│   └── ✗ carries openai's error (stale_error, bound by text)
│         claimed       429 quota “You exceeded your current quota, please che…”
│         own evidence  no response in 0.3 s (timeout)
├── candidate gcp.gemini  gemini-2.5-flash  success 200, N.NN s  verified
│   └── chat gemini-2.5-flash  N.NN s
└── ! identical_errors: anthropic/claude-opus-4-7 carries the error text of
    openai/gpt-5.5; its own evidence is complete and does not hold it"""
    )


def test_the_incident_as_a_table(acts: dict[str, Act]) -> None:
    """What the loop told stands beside what the provider's own log says."""
    assert (
        drawn(ClaimsTable(acts["incident"].played)).strip()
        == """\
candidate          what the loop said        the provider's answer     true?
 ────────────────────────────────────────────────────────────────────────────
 openai             429 quota                 429 insufficient_quota    yes
 gpt-5.5            “You exceeded your cu…”   “You exceeded your cu…”
 anthropic          429 quota                 it never answered         ✗ no
 claude-opus-4-7    “You exceeded your cu…”
 gcp.gemini         success                   200, an answer            yes
 gemini-2.5-flash   “Hello from the third.”"""
    )


def test_the_same_provider_twice_is_told_by_its_key(acts: dict[str, Act]) -> None:
    """ "openai's error" on openai's span would say nothing: the label of the key does."""
    assert "✗ carries the team-a key's error (stale_error, bound by object)" in drawn(
        TraceTree(acts["first_error_again"].views)
    )


def test_a_terminal_without_unicode_gets_ascii_only(acts: dict[str, Act]) -> None:
    """No sign is lost to a question mark."""
    text = drawn(TraceTree(acts["incident"].views), encoding="ascii")
    text += drawn(ClaimsTable(acts["incident"].played), encoding="ascii")
    assert "x carries openai's error" in text
    assert "?" not in text.replace("true?", "")


def test_a_mismatch_stands_out_in_red(acts: dict[str, Act]) -> None:
    """Where there are colours."""
    text = drawn(TraceTree(acts["incident"].views), colours=True)
    (line,) = [line for line in text.splitlines() if "✗ carries" in line]
    assert "\x1b[1;31m✗ carries openai's error" in line


@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(acts: dict[str, Act], width: int) -> None:
    """Narrow terminals fold lines, none overflows."""
    for act in acts.values():
        assert all(len(line) <= width for line in drawn(TraceTree(act.views), width).splitlines())


# --- spans that the demo does not make --------------------------------------------------------------------------------


def accused(**more: Any) -> dict[str, Any]:
    return {
        "candidate.provider": "anthropic",
        "candidate.model": "m",
        "candidate.outcome": "error",
        "failover.reason.code": "timeout",
        "failover.attribution.verdict": "mismatch",
        "failover.attribution.mismatch": True,
        "failover.attribution.expected.provider": "anthropic",
        "failover.attribution.rule": "claimed_answer",
        **more,
    }


def test_an_offender_without_its_marker_is_accused_all_the_same() -> None:
    """A sampler or an older exporter may have dropped the marker."""
    views = [span("candidate anthropic", 1, attributes=accused(**{"failover.attribution.claimed.status_code": 429}))]
    assert (
        drawn(TraceTree(views))
        == """\
candidate anthropic  m  error timeout, N.NN s  mismatch
└── ✗ carries an answer's error (claimed_answer)
      claimed  429"""
    )


def test_a_failed_run_and_a_skip() -> None:
    """A run says how it failed; a skip says since when."""
    views = [
        span("failover chat", 1, status="ERROR", description="1 of 2 failed", attributes={"failover.outcome": "exhausted"}),
        span(
            "candidate openai", 2, 1,
            attributes={
                "candidate.provider": "openai", "candidate.model": "m", "candidate.outcome": "error",
                "failover.reason.code": "rate_limit", "http.response.status_code": 429, "failover.attribution.verdict": "unverified",
                "failover.attribution.rule": "nothing_bound",
            },
        ),
        span(
            "skip openai", 3, 1,
            attributes={
                "candidate.provider": "openai", "candidate.model": "n", "candidate.profile": "spare",
                "failover.skip.reason": "cooldown", "failover.skip.cause_span_id": f"{2:016x}",
            },
        ),
    ]  # fmt: skip
    assert (
        drawn(TraceTree(views), 100)
        == """\
failover chat  exhausted: 1 of 2 failed, N.NN s
├── candidate openai  m  error 429 rate_limit, N.NN s  unverified (nothing_bound)
└── skip openai  n (spare)  skipped: cooldown (since openai: rate_limit)"""
    )


def test_candidates_that_nobody_knows_are_told_apart() -> None:
    """Their spans are named alike, `other`; a reader wants the host."""
    facts = {"candidate.model": "m", "candidate.outcome": "success"}
    views = [
        span(f"candidate {name}", number, attributes={**facts, "candidate.provider": host})
        for number, (name, host) in enumerate([("other", "llm.internal.example"), ("openai", "openai")], 1)
    ]
    assert [line.split("  ")[0] for line in drawn(TraceTree(views)).splitlines()] == [
        "candidate llm.internal.example", "candidate openai",
    ]  # fmt: skip


def test_what_a_run_got_wrong_stands_below_it_as_a_sentence() -> None:
    """Warnings in yellow, information dimmed; where an event was dropped, the rule alone."""
    views = [
        span(
            "failover chat", 1,
            attributes={"failover.outcome": "stopped", "failover.findings": ("chain_bypassed", "lossy_report", "retry_storm")},
            events=(
                EventView("exception", {"exception.message": "not ours"}),
                finding("chain_bypassed", "stopped after 1 of 2\x1b candidates"),
                finding("lossy_report", "the final error names one of two", "info"),
            ),
        ),
        span("candidate openai", 2, 1, attributes={"candidate.model": "m", "candidate.outcome": "error"}),
    ]  # fmt: skip
    assert (
        drawn(TraceTree(views))
        == """\
failover chat  stopped, N.NN s
├── candidate openai  m  error, N.NN s
├── ! chain_bypassed: stopped after 1 of 2  candidates
├── i lossy_report: the final error names one of two
└── ! retry_storm"""
    )
    coloured = drawn(TraceTree(views), colours=True)
    assert "\x1b[33m! chain_bypassed" in coloured
    assert "\x1b[2mi lossy_report" in coloured


def finding(rule: str, sentence: str, level: str = "warning") -> EventView:
    facts = {"failover.finding.rule": rule, "failover.finding.sentence": sentence, "failover.finding.level": level}
    return EventView("failover.finding." + rule, facts)


def test_a_candidate_that_hangs_is_told_without_its_own_span() -> None:
    """The marker is exported while the span it stands below is still open."""
    hung = {"candidate.provider": "anthropic", "candidate.model": "m", "failover.silent.duration": 181.234}
    views = [span("failover.hung", 2, 1, status="ERROR", attributes=hung)]
    assert (
        drawn(TraceTree(views), colours=True) == "\x1b[33m! anthropic m was still open, and silent for 181.2 s\x1b[0m"
    )


def test_spans_of_others_stand_where_they_belong() -> None:
    """A server span around, an HTTP span below, a span whose parent is elsewhere: each has its line."""
    views = [
        span("GET /chat", 1, scope="asgi"),
        span("failover chat", 2, 1, attributes={"failover.outcome": "stopped"}),
        span(
            "POST",
            3,
            2,
            scope="httpx",
            status="ERROR",
            attributes={"error.type": "500", "http.response.status_code": 500},
        ),
        span("lost", 4, 99, scope="x", status="ERROR", description="boom"),
        span("candidate of somebody", 5, 99, scope="x", attributes={"failover.attribution.verdict": "inconsistent"}),
    ]
    assert (
        drawn(TraceTree(views))
        == """\
GET /chat  N.NN s
└── failover chat  stopped, N.NN s
    └── POST  error 500, N.NN s
lost  error boom, N.NN s
candidate of somebody  N.NN s  inconsistent"""
    )


def test_texts_are_shown_as_they_are() -> None:
    """A provider's text is no markup, no control sequence, and no second line."""
    message = "[red]no[/red] \x1b[31m\nsecond line of a long message"
    views = [span("candidate anthropic", 1, attributes=accused(**{"failover.attribution.claimed.message": message}))]
    text = drawn(TraceTree(views))
    assert "[red]no[/red]" in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == 3


def test_two_traces_are_two_trees() -> None:
    """A run may be split over traces; each is drawn by itself."""
    views = [SpanView("a", f"{1:032x}", f"{1:016x}"), SpanView("b", f"{2:032x}", f"{1:016x}")]
    assert drawn(TraceTree(views)) == "a  N.NN s\nb  N.NN s"


LONG: Final = "eu.anthropic.claude-opus-4-7-20260131-v1:0-with-a-name-that-no-terminal-has-room-for"
LONG_ROWS: Final = [
    span(
        "failover chat", 1, description="every candidate has failed, the last one after a long while of waiting for it",
        attributes={"failover.outcome": "exhausted"},
    ),
    span(
        "candidate anthropic", 2, 1,
        attributes={
            "candidate.provider": "anthropic", "candidate.model": LONG, "candidate.outcome": "error",
            "http.response.status_code": 529, "failover.reason.code": "overloaded",
            "failover.attribution.verdict": "verified",
        },
    ),
    span(f"POST /acme/{LONG}/messages", 3, 2, scope="acme", status="ERROR", attributes={"error.type": "529"}),
]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_row_that_is_too_long_for_a_terminal_is_cut_in_its_middle(width: int, encoding: str) -> None:
    """One line a span; and what came of it, and the verdict, are never what is cut."""
    lines = drawn(TraceTree(LONG_ROWS), width, encoding, terminal=True).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= width
    more = "\N{HORIZONTAL ELLIPSIS}" if encoding == "utf-8" else "..."
    assert lines[0].startswith("failover chat  exhausted: ")
    assert lines[0].endswith("N.NN s")
    assert lines[1].endswith(f"{more}  error 529 overloaded, N.NN s  verified")
    assert "candidate anthropic  eu.anthr" in lines[1]
    assert lines[2].endswith(f"{more}  error 529, N.NN s")


@pytest.mark.parametrize("width", [60, 120])
def test_nothing_is_cut_that_goes_to_a_file(width: int) -> None:
    """However wide it is, all of it can be found there."""
    text = "".join(line.lstrip("│├└─ ") for line in drawn(TraceTree(LONG_ROWS), width).splitlines())
    assert LONG in text.replace(" ", "")
    assert "\N{HORIZONTAL ELLIPSIS}" not in text


def test_where_there_is_no_room_for_what_came_of_it_it_goes_on_in_the_next_line() -> None:
    text = " ".join(drawn(TraceTree(LONG_ROWS), 50, terminal=True).replace("│", " ").split())
    assert text.count("\N{HORIZONTAL ELLIPSIS}") == 3
    assert "error 529 overloaded, N.NN s verified" in text


def test_a_row_that_fits_is_left_as_it_is() -> None:
    assert drawn(TraceTree(LONG_ROWS), 300, terminal=True) == drawn(TraceTree(LONG_ROWS), 300)
