"""How attempts of litellm's loops end: streams that break and what is evidence of it, cancellation, `fallbacks=[...]`."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest

pytest.importorskip("litellm")

from otel_failover.testing.providers import Answer
from tests.integrations.loops.litellm.bench import (
    CONTINUES,
    FALLS_BACK_MIDWAY,
    Bench,
    aoutcome,
    clear_clients,
    litellm,
    outcome,
    piece,
    run,
    until,
    ways,
)
from tests.support.hosts import MESSAGES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from tests.support.spans import Exported, Telemetry

QUOTA = "You exceeded your current quota"
FELL_OVER = "The engine fell over in the middle of it"
MIDWAY = "it failed after output began"
HONEST = {"verified", "unverified"}
"""litellm makes up a status for what broke a stream: nobody sent it, and nobody else did."""

stream_ways = pytest.mark.parametrize("way", ["stream", "async stream"])
raw_or_sdk = pytest.mark.parametrize("kind", ["openai", "anthropic"])


@pytest.fixture
def bench() -> Iterator[Bench]:
    clear_clients()
    with ExitStack() as stack:
        yield Bench(stack)


def told(telemetry: Telemetry) -> list[tuple[Any, ...]]:
    """Return who was asked, in order: provider, model, place, what became of it, why."""
    keys = ("candidate.provider", "candidate.model", "candidate.index", "candidate.outcome", "failover.reason.code")
    return [tuple(span[key] for key in keys) for span in telemetry.candidates]


def evidence(span: Exported) -> tuple[Any, ...]:
    return span["failover.evidence"], span["failover.evidence_gap"]


# --- streams that break -----------------------------------------------------------------------------------------------


@stream_ways
@raw_or_sdk
def test_an_error_event_is_seen_as_the_stream_sent_it(telemetry: Telemetry, bench: Bench, way: str, kind: str) -> None:
    """Also where litellm reads the stream itself, and makes a status 500 of it that nobody sent."""
    failing = Answer.stream(["Hel", "lo"], then="error", message="Number of tokens reached", type="rate_limit_error")
    bench.add("a", kind, failing, model="model-a")
    bench.add("b", "openai", Answer.ok("never"), model="model-b")
    assert isinstance(ways(bench.router())[way](), Exception)
    (candidate,) = telemetry.candidates
    assert told(telemetry)[0][3:] == ("partial", "rate_limit")
    assert (candidate["http.response.status_code"], candidate["failover.error.origin"]) == (200, "response")
    assert candidate.description == "Number of tokens reached"
    assert (evidence(candidate), candidate.verdict[0]) == (("complete", None), "verified")
    assert (telemetry.run["failover.outcome"], telemetry.run["failover.stop.reason"]) == ("stopped", MIDWAY)
    assert bench.asked == [[200], []]


@stream_ways
@raw_or_sdk
def test_a_connection_that_breaks_is_the_transports_word(
    telemetry: Telemetry, bench: Bench, way: str, kind: str
) -> None:
    bench.add("a", kind, Answer.stream(["Hel", "lo"], then="cut"), model="model-a")
    bench.add("b", "openai", Answer.ok("never"), model="model-b")
    assert isinstance(ways(bench.router())[way](), Exception)
    (candidate,) = telemetry.candidates
    assert candidate["candidate.outcome"] == "partial"
    assert (candidate["http.response.status_code"], candidate["failover.reason.code"]) == (200, "partial_stream")
    assert candidate.verdict[0] in HONEST
    assert telemetry.run["failover.stop.reason"] == MIDWAY


@stream_ways
@raw_or_sdk
def test_a_stream_that_fails_before_output(telemetry: Telemetry, bench: Bench, way: str, kind: str) -> None:
    """Newer routers ask the next one while the host reads: in the same run. Older ones give up."""
    bench.add(
        "a", kind, Answer.stream([], then="error", message="Overloaded", type="overloaded_error"), model="model-a"
    )
    bench.add("b", "anthropic", Answer.stream(["fi", "ne"]), model="model-b")
    said = ways(bench.router())[way]()
    first, *others = told(telemetry)
    assert (first[2], first[4]) == (0, "overloaded")
    assert {span.parent_id for span in telemetry.candidates} == {telemetry.run.span_id}
    assert {span.verdict[0] for span in telemetry.candidates} <= HONEST
    if FALLS_BACK_MIDWAY:
        assert "".join(said) == "fine"
        assert [line[2:4] for line in others] == [(1, "success")]
        assert telemetry.run["failover.outcome"] == "fallback"
    else:
        assert isinstance(said, Exception)
        assert (others, telemetry.run["failover.outcome"]) == ([], "stopped")


@pytest.mark.skipif(not CONTINUES, reason="routers did not continue an answer with another candidate")
@stream_ways
def test_an_answer_that_another_one_continues(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """The first one's part was delivered; the run was served by the second. Synchronous streams are not continued."""
    known = ((name, each) for name, each in litellm.model_cost.items() if each.get("litellm_provider") == "anthropic")
    model = next(name for name, each in known if each.get("supports_assistant_prefill"))
    bench.add("a", "anthropic", Answer.stream(["Hel", "lo"], then="error", message=FELL_OVER), model=model)
    bench.add("b", "anthropic", Answer.stream([" wor", "ld"]), model=model)
    said = ways(bench.router(enable_mid_stream_fallback_continuation=True))[way]()
    if way == "stream":
        assert isinstance(said, Exception)
        assert [line[2:4] for line in told(telemetry)] == [(0, "partial")]
        assert (telemetry.run["failover.outcome"], telemetry.run["failover.stop.reason"]) == ("stopped", MIDWAY)
        return
    assert "".join(said) == "Hello world"
    assert [line[2:4] for line in told(telemetry)] == [(0, "partial"), (1, "success")]
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.run["failover.stop.reason"] is None


class Thief(litellm.CustomLLM):  # type: ignore[misc]
    """A provider of the application's own, which reads its stream itself, and raises what it kept of another one's."""

    async def astreaming(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async with (
            httpx.AsyncClient() as client,
            client.stream("POST", f"{kwargs['api_base']}/chat/completions", json={"stream": True}) as response,
        ):
            async for _ in response.aiter_lines():
                yield {
                    "text": "Hel", "is_finished": False, "finish_reason": "", "index": 0, "tool_use": None,
                    "usage": None,
                }  # fmt: skip
                break
        raise litellm.RateLimitError(f"{QUOTA}, please check your plan and billing details.", "acme", "model-b")


def test_what_its_exceptions_say_of_a_stream_that_nobody_saw_is_no_evidence(
    telemetry: Telemetry, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the text nor the status gets onto the candidate's span: it was answered with 200, and not heard out."""
    monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "acme", "custom_handler": Thief()}])
    monkeypatch.setattr(litellm, "provider_list", [*litellm.provider_list, "acme"])
    monkeypatch.setattr(litellm, "_custom_providers", ["acme"])
    bench.chain(Answer.openai_quota())
    stolen = bench.serve("openai", Answer.stream(["Hel", "lo"]))
    params = {"model": "acme/model-b", "api_base": stolen.base_url, "api_key": "local"}
    bench.deployments.append({"model_name": "b", "litellm_params": params})
    assert isinstance(ways(bench.router())["async stream"](), Exception)
    first, second = telemetry.candidates
    assert QUOTA in first.description
    assert second["candidate.provider"] == "acme"
    assert (second["http.response.status_code"], second["failover.error.code"]) == (200, None)
    assert QUOTA not in second.description
    assert not [name for name, event in second.events if QUOTA in str(event)]
    assert second["failover.reason.code"] not in ("rate_limit", "billing")
    assert evidence(second) == ("partial", "stream_not_seen")
    assert second.verdict[0] != "verified"


# --- left early -------------------------------------------------------------------------------------------------------


def cancelled(bench: Bench, work: Callable[[], Awaitable[Any]]) -> None:
    """Cancel something once the second provider has been asked."""

    async def cancel() -> None:
        task = asyncio.ensure_future(work())
        await until(lambda: bool(bench.servers[1].log))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancel)


@pytest.mark.parametrize("way", ["router", "router, streamed", "fallbacks", "fallbacks, streamed"])
def test_cancelled_while_a_candidate_is_silent(telemetry: Telemetry, bench: Bench, way: str) -> None:
    bench.chain(Answer.openai_quota(), Answer.hang())
    router, stream = bench.router(), "streamed" in way

    async def ask() -> Any:
        if "router" in way:
            return await router.acompletion("a", list(MESSAGES), stream=stream)
        return await litellm.acompletion(**bench.models(), messages=MESSAGES, stream=stream)

    cancelled(bench, ask)
    assert [line[3] for line in told(telemetry)] == ["error", "cancelled"]
    assert (telemetry.run.status, telemetry.run["failover.outcome"]) == ("UNSET", "cancelled")


@pytest.mark.parametrize("way", ["router", "fallbacks"])
def test_cancelled_while_it_streams(telemetry: Telemetry, bench: Bench, way: str) -> None:
    bench.chain(Answer.openai_quota(), Answer.stream(["Hel", "lo"], then="hang"))
    router, chunks = bench.router(), []

    async def ask() -> Any:
        if way == "router":
            result = await router.acompletion("a", list(MESSAGES), stream=True)
        else:
            result = await litellm.acompletion(**bench.models(), messages=MESSAGES, stream=True)
        async for chunk in result:
            chunks.append(piece(chunk))  # noqa: PERF401 - it never ends

    async def cancel() -> None:
        task = asyncio.ensure_future(ask())
        await until(lambda: "".join(chunks) == "Hello")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancel)
    assert [line[3] for line in told(telemetry)] == ["error", "cancelled"]
    assert telemetry.run["failover.outcome"] == "cancelled"


# --- completion(fallbacks=[...]) --------------------------------------------------------------------------------------

FALLBACK_WAYS = ("sync", "async", "sync in a loop", "async stream")
every_way = pytest.mark.parametrize("way", FALLBACK_WAYS)


def asked(telemetry: Telemetry, bench: Bench, way: str) -> Any:
    """Ask within a span of the application's; return the text, or the exception."""
    given = {**bench.models(), "messages": MESSAGES}

    async def inside() -> Any:
        return litellm.completion(**given)

    with telemetry.tracer.start_as_current_span("request"):
        if way == "sync":
            said = outcome(lambda: litellm.completion(**given))
        elif way == "sync in a loop":
            said = run(inside)
        else:
            said = run(lambda: litellm.acompletion(**given, stream="stream" in way))
    return said if isinstance(said, Exception) else "".join(said)


def fine(way: str) -> Answer:
    return Answer.stream(["fi", "ne"]) if "stream" in way else Answer.ok("fine")


@every_way
def test_fallbacks_served_by_the_first(telemetry: Telemetry, bench: Bench, way: str) -> None:
    bench.chain(fine(way), Answer.ok("never"))
    assert asked(telemetry, bench, way) == "fine"
    assert told(telemetry) == [("openai", "model-a", 0, "success", None)]
    assert telemetry.run["failover.chain"] == ["openai/model-a", "anthropic/model-b"]
    assert (telemetry.run["failover.outcome"], telemetry.run["failover.library"]) == ("primary", "litellm")
    assert bench.asked == [[200], []]


@every_way
def test_fallbacks_served_by_a_later_one(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """A synchronous call inside a running loop works in a thread: its spans stay in the trace."""
    bench.chain(Answer.openai_quota(), Answer.anthropic_not_found("model-b"), fine(way))
    assert asked(telemetry, bench, way) == "fine"
    assert told(telemetry) == [
        ("openai", "model-a", 0, "error", "billing"),
        ("anthropic", "model-b", 1, "error", "model_not_found"),
        ("openai", "model-c", 2, "success", None),
    ]
    assert telemetry.run["failover.outcome"] == "fallback"
    assert {span.verdict[0] for span in telemetry.candidates} == {"verified"}
    assert {span.trace_id for span in telemetry.spans} == {telemetry.run.trace_id}
    assert telemetry.run.parent_id == telemetry.named("request")[0].span_id


@every_way
def test_fallbacks_that_all_fail(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """What litellm raises is made up, its status 500 too: it is no candidate's error."""
    bench.chain(Answer.openai_quota(), Answer.anthropic_not_found("model-b"))
    assert isinstance(asked(telemetry, bench, way), Exception)
    assert told(telemetry) == [
        ("openai", "model-a", 0, "error", "billing"),
        ("anthropic", "model-b", 1, "error", "model_not_found"),
    ]
    assert [span["http.response.status_code"] for span in telemetry.candidates] == [429, 404]
    assert (telemetry.run.status, telemetry.run["failover.outcome"]) == ("ERROR", "exhausted")
    assert {span.verdict[0] for span in telemetry.candidates} == {"verified"}
    assert telemetry.markers == []


@raw_or_sdk
def test_fallbacks_whose_stream_breaks_after_output_began(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    """This loop never goes on once it has given a stream."""
    bench.add("a", kind, Answer.stream(["Hel", "lo"], then="error", message=FELL_OVER), model="model-a")
    bench.add("b", "openai", Answer.ok("never"), model="model-b")
    assert isinstance(asked(telemetry, bench, "async stream"), Exception)
    assert [line[3] for line in told(telemetry)] == ["partial"]
    assert telemetry.candidates[0].description == FELL_OVER
    assert (telemetry.run["failover.outcome"], telemetry.run["failover.stop.reason"]) == ("stopped", MIDWAY)
    assert bench.asked == [[200], []]


def test_a_synchronous_stream_of_fallbacks_cannot_be_read(telemetry: Telemetry, bench: Bench) -> None:
    """litellm hands over an asynchronous stream of a loop that is over: an answer came, and was not taken."""
    bench.chain(Answer.stream(["fi", "ne"]), Answer.ok("never"))
    assert isinstance(outcome(lambda: litellm.completion(**bench.models(), messages=MESSAGES, stream=True)), Exception)
    (candidate,) = telemetry.candidates
    assert (candidate["candidate.outcome"], candidate["http.response.status_code"]) == ("rejected", 200)
    assert candidate.verdict[0] != "mismatch"


def test_fallbacks_side_by_side_do_not_cross(telemetry: Telemetry, bench: Bench) -> None:
    bench.chain(Answer.openai_quota(), Answer.ok("fine"))

    async def many() -> Any:
        calls = (aoutcome(lambda: litellm.acompletion(**bench.models(), messages=MESSAGES)) for _ in range(6))
        assert await asyncio.gather(*calls) == ["fine"] * 6

    run(many)
    runs = telemetry.starting("failover chat")
    assert len(runs) == 6
    for each in runs:
        places = [span["candidate.index"] for span in telemetry.children(each) if span.name.startswith("candidate ")]
        assert places == [0, 1]
