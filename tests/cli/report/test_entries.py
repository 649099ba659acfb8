"""What an incident review is shown of spans."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from otel_failover.cli.drawing.span_view import EventView, LinkView, SpanView
from otel_failover.cli.report.entries import Entry, entries_in
from otel_failover.cli.report.words import message
from tests.cli.drawing.drawing import span
from tests.cli.report.traces import QUOTA, candidate, incident, marker, run

KEY = "sk-proj-Wc7RtYbH3kZq8vL2mN4xWc7RtYbH3kZq8vL2mN4x"


def told(*views: SpanView) -> list[Entry]:
    return entries_in(views).found


def tree(found: Entry) -> list[tuple[int, str]]:
    return [(row.depth, row.who or row.name) for row in found.rows]


def call(number: int, outcome: str = "error", **facts: Any) -> SpanView:
    attributes = {"candidate.provider": "openai", "candidate.model": "gpt-5.5", "candidate.outcome": outcome, **facts}
    return span("chat gpt-5.5", number, attributes=attributes, status="ERROR" if outcome == "error" else "UNSET")


def test_a_run_is_its_waterfall_with_the_claim_beside_the_evidence() -> None:
    server = span("POST /chat", 9, scope="http")
    (found,) = told(
        server, *(replace(each, parent_id=server.span_id) if not each.parent_id else each for each in incident())
    )
    assert tree(found) == [
        (0, "gcp.gemini/gemini-2.5-flash"),
        (1, "openai/gpt-5.5"),
        (1, "anthropic/claude-opus-4-7"),
        (1, "gcp.gemini/gemini-2.5-flash"),
    ]
    assert (found.outcome, found.served, found.service) == ("fallback", "gcp.gemini/gemini-2.5-flash", "shop")
    assert (found.around, found.wasted) == ("POST /chat", 1.5)
    (lie,) = found.lies
    assert lie.claim is not None
    assert (lie.claim.source, lie.claim.facts, lie.claim.message) == ("openai/gpt-5.5", "429 quota", QUOTA)
    assert lie.claim.own == "no response in 123.0 s (timeout)"
    assert message(found).splitlines() == [
        "chat in shop: fallback, served by gcp.gemini/gemini-2.5-flash, 0.5 s, 1970-01-01 00:00:00 UTC",
        "1. openai/gpt-5.5: error 429 billing, 0.5 s",
        "2. anthropic/claude-opus-4-7: error timeout, 0.5 s",
        "3. gcp.gemini/gemini-2.5-flash: success 200, 0.5 s",
        (
            "! anthropic/claude-opus-4-7 carries openai/gpt-5.5's error. Its own: no response in 123.0 s (timeout). "
            f'Claimed: 429 quota "{QUOTA}"'
        ),
        f"trace {1:032x}",
    ]


def test_the_order_of_spans_is_of_no_importance_nor_is_one_that_comes_twice() -> None:
    views = incident()
    expected = told(*views)
    for seed in range(20):
        assert told(*random.Random(seed).choices(views, k=20), *views) == expected


def test_an_offender_without_its_marker_is_accused_by_itself() -> None:
    views = [each for each in incident() if "mismatch" not in each.name]
    facts = {"failover.attribution.rule": "claimed_answer"}
    views = [
        replace(each, attributes={**each.attributes, **facts}) if each.span_id.endswith("3") else each for each in views
    ]
    (lie,) = told(*views)[0].lies
    assert (lie.who, lie.claim and lie.claim.rule, lie.claim and lie.claim.source) == (
        "anthropic/claude-opus-4-7", "claimed_answer", "")  # fmt: skip
    assert "carries an answer's error, and was not answered" in message(told(*views)[0])


def test_findings_are_sentences_and_rules_whose_event_was_dropped() -> None:
    event = EventView(
        "failover.finding.retry_storm",
        {"failover.finding.rule": "retry_storm", "failover.finding.sentence": "five", "failover.finding.level": "info"},
    )
    (found,) = told(run(events=(event,), attributes={"failover.findings": ("retry_storm", "chain_bypassed")}))
    assert [(each.rule, each.level, each.sentence) for each in found.findings] == [
        ("retry_storm", "info", "five"),
        ("chain_bypassed", "warning", ""),
    ]


def test_a_run_over_several_traces_and_the_calls_that_an_inferred_one_links_to_are_one() -> None:
    elsewhere = replace(candidate(7, 8, "anthropic/claude"), trace_id=f"{2:032x}", start=7_000)
    below = replace(span("POST", 10, 7, scope="http"), trace_id=f"{2:032x}")
    earlier = replace(call(2), start=500)
    (found,) = told(run(links=(LinkView(earlier.span_id),)), candidate(3, 1, "b/m"), earlier, elsewhere, below)
    assert tree(found) == [
        (0, "gcp.gemini/gemini-2.5-flash"), (1, "openai/gpt-5.5"), (1, "b/m"), (1, "anthropic/claude"), (2, "POST"),
    ]  # fmt: skip
    assert (found.start, found.rows[1].start) == (500, 0.0)


def test_span_ids_are_of_their_trace_alone() -> None:
    found = told(*incident(), *(replace(each, trace_id=f"{2:032x}") for each in incident("other")))
    assert [(each.trace_id[-1], len(each.rows)) for each in found] == [("1", 4), ("2", 4)]


def test_a_run_inside_a_run_stands_in_it() -> None:
    (found,) = told(run(), candidate(2, 1, "a/m"), run(3, 2, run_id="inner"), candidate(4, 3, "b/m", run_id="inner"))
    assert [depth for depth, _ in tree(found)] == [0, 1, 2, 3]


def test_a_call_outside_any_run_is_one_where_it_failed_or_says_what_is_not_its_own() -> None:
    found = entries_in([call(1), call(2, "success"), call(3, "success"), marker(4, 3, 1), span("GET", 5, scope="http")])
    assert [(each.kind, each.outcome, len(each.lies)) for each in found.found] == [
        ("call", "error", 0),
        ("call", "success", 1),
    ]
    assert (found.calm, found.spans) == (1, 5)


def test_somebody_elses_span_is_one_where_it_carries_anothers_error() -> None:
    other = span("llm call", 1, scope="acme", attributes={"failover.attribution.mismatch": True})
    (found,) = told(other, span("llm call", 2, scope="acme", attributes={"failover.attribution.mismatch": "true"}))
    assert (found.kind, len(found.lies)) == ("span", 1)


def test_secrets_in_others_spans_do_not_come_out_nor_do_prompts() -> None:
    inside = span(
        f"GET ?key={KEY}", 3, 2, scope="http", description=f"Bearer {KEY}\x1b[2J", status="ERROR",
        attributes={"gen_ai.input.messages": "a prompt", "http.response.status_code": "429", "candidate.provider": 7},
    )  # fmt: skip
    text = repr(told(run(), candidate(2, 1, "a/m"), inside))
    assert KEY not in text
    assert "a prompt" not in text
    assert "\\x1b" not in text


def test_circles_and_orphans_do_no_harm() -> None:
    views = [candidate(2, 3, "a/m"), candidate(3, 2, "b/m"), run(4, 99), candidate(5, 4, "c/m"), marker(6, 77, 1)]
    assert [each.kind for each in told(*views)] == ["run"]
