"""How a call by wire ends, by each HTTP library: what the host reads is what it reads without us, and told as it is."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.core.runs.by_wire.ways import DIALECTS, DROP, LEAVE, READ, STOP, STREAMED, WHOLE, asked
from tests.support.hosts import patience
from tests.support.same import same_everywhere

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.core.runs.by_wire.ways import Ask
    from tests.support.spans import Exported, Telemetry

SHORT = 0.1
each_whole = pytest.mark.parametrize("ask", WHOLE.values(), ids=WHOLE)
each_streamed = pytest.mark.parametrize("ask", STREAMED.values(), ids=STREAMED)


def call(telemetry: Telemetry) -> Exported:
    (span,) = [each for each in telemetry.spans if each["gen_ai.operation.name"] is not None]
    return span


def ask_outside(ask: Ask, answer: Answer, dialect: str, *, stream: bool, act: str = READ, short: float = SHORT) -> Any:
    """Ask outside any run, for `short` seconds where there is no answer; return what was read, or what was raised."""
    with LocalProvider(DIALECTS[dialect].kind, answer) as provider:
        url, body = asked(provider, dialect, stream=stream)
        try:
            return ask(url, body, act=act, seconds=patience(provider, short))
        except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
            return problem


def said(span: Exported) -> tuple[str | None, str | None, str | None]:
    return span["candidate.outcome"], span["failover.reason.code"], span["failover.evidence"]


# --- outside any run --------------------------------------------------------------------------------------------------


@each_whole
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_whole_answer(telemetry: Telemetry, ask: Ask, dialect: str) -> None:
    status, read = ask_outside(ask, Answer.ok(model="m-2026"), dialect, stream=False)
    assert (status, read[:1]) == (200, b"{")
    span = call(telemetry)
    assert said(span) == ("success", None, "complete")
    assert (span["gen_ai.request.model"], span["gen_ai.response.model"]) == ("m", "m-2026")
    assert span["gen_ai.response.id"] is not None
    assert span["gen_ai.usage.input_tokens"] > 0
    assert span["gen_ai.usage.output_tokens"] > 0
    assert span.verdict == ("verified", None)


@each_streamed
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_that_is_read_to_its_end(telemetry: Telemetry, ask: Ask, dialect: str) -> None:
    status, read = ask_outside(ask, Answer.stream(4), dialect, stream=True)
    assert (status, b"chunk3" in read) == (200, True)
    span = call(telemetry)
    assert said(span) == ("success", None, "complete")
    assert span["gen_ai.response.id"] is not None
    assert span["gen_ai.response.model"] == "m"


@each_streamed
def test_a_whole_answer_that_is_read_as_a_stream(telemetry: Telemetry, ask: Ask) -> None:
    status, read = ask_outside(ask, Answer.ok(), "chat", stream=False)
    assert (status, read[:1]) == (200, b"{")
    span = call(telemetry)
    assert said(span) == ("success", None, "complete")
    assert span["gen_ai.usage.output_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("ask", [*WHOLE.values(), *STREAMED.values()], ids=[*WHOLE, *(f"{n} later" for n in STREAMED)])
def test_an_error_whose_body_is_read(telemetry: Telemetry, ask: Ask, stream: bool) -> None:
    status, _ = ask_outside(ask, Answer.openai_quota(), "chat", stream=stream)
    assert status == 429
    span = call(telemetry)
    assert said(span) == ("error", "billing", "complete")
    assert (span["failover.error.code"], span["http.response.status_code"]) == ("insufficient_quota", 429)
    assert "exceeded your current quota" in span.description


@each_streamed
def test_an_error_that_nobody_reads(telemetry: Telemetry, ask: Ask) -> None:
    ask_outside(ask, Answer.openai_quota(), "chat", stream=True, act=LEAVE)
    span = call(telemetry)
    assert said(span) == ("error", "rate_limit", "partial")
    assert (span["failover.evidence_gap"], span["http.response.status_code"]) == ("body_not_seen", 429)


@each_streamed
@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_an_error_in_the_midst_of_a_stream(telemetry: Telemetry, ask: Ask, dialect: str) -> None:
    overloaded = Answer.stream(2, then="error", message="The engine is overloaded", type="overloaded_error")
    ask_outside(ask, overloaded, dialect, stream=True)
    span = call(telemetry)
    assert said(span) == ("partial", "overloaded", "complete")
    assert (span.status, "overloaded" in span.description) == ("ERROR", True)


@each_streamed
@pytest.mark.parametrize("then", ["cut", "truncate"])
def test_a_stream_that_is_cut_does_not_look_like_one_that_ended(telemetry: Telemetry, ask: Ask, then: Any) -> None:
    raised = ask_outside(ask, Answer.stream(3, then=then), "chat", stream=True)
    assert isinstance(raised, Exception)
    span = call(telemetry)
    assert said(span) == ("partial", "partial_stream", "complete")
    assert span["failover.error.origin"] == "transport"


@each_streamed
@pytest.mark.parametrize("act", [STOP, LEAVE])
def test_a_host_that_stops_early_is_no_error(telemetry: Telemetry, ask: Ask, act: str) -> None:
    ask_outside(ask, Answer.stream(50), "chat", stream=True, act=act)
    assert said(call(telemetry)) == ("success", None, "complete")


@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_a_stream_that_is_kept_behind_its_mark_of_the_end(telemetry: Telemetry, dialect: str) -> None:
    """Neither closed nor dropped: its answer is there, and no run waits for it."""
    with LocalProvider(DIALECTS[dialect].kind, Answer.stream(4)) as provider, httpx.Client() as client:
        url, body = asked(provider, dialect, stream=True)
        with failover_run("chat"):
            response = client.send(client.build_request("POST", url, json=body), stream=True)
            pieces = response.iter_raw()
            heard = b""
            while b"[DONE]" not in heard and b"message_stop" not in heard:
                heard += next(pieces)
        assert telemetry.run["failover.outcome"] == "primary"
        (own,) = telemetry.candidates
        assert said(own) == ("success", None, "complete")
        assert call(telemetry)["gen_ai.response.model"] == "m"
        response.close()
    assert len(telemetry.candidates) == 1


@pytest.mark.parametrize("name", ["httpx", "httpx2", "requests", "urllib3"])
@pytest.mark.parametrize("answer", [Answer.stream(50), Answer.openai_quota()], ids=["stream", "429"])
def test_a_stream_that_is_dropped_ends_when_it_is_collected(telemetry: Telemetry, name: str, answer: Answer) -> None:
    ask_outside(STREAMED[name], answer, "chat", stream=True, act=DROP)
    gc.collect()
    assert call(telemetry)["candidate.outcome"] == ("success" if answer.kind == "stream" else "error")


@pytest.mark.parametrize("ask", [*WHOLE.values(), *STREAMED.values()], ids=[*WHOLE, *(f"{n} later" for n in STREAMED)])
@pytest.mark.parametrize(
    ("answer", "reason"), [(Answer.hang(1), "timeout"), (Answer.reset(), "connection")], ids=["hang", "reset"]
)
def test_no_answer(telemetry: Telemetry, ask: Ask, answer: Answer, reason: str) -> None:
    raised = ask_outside(ask, answer, "chat", stream=True)
    assert isinstance(raised, Exception)
    span = call(telemetry)
    assert said(span) == ("error", reason, "complete")
    assert span["error.type"] == f"{type(raised).__module__}.{type(raised).__qualname__}".removeprefix("builtins.")


@each_streamed
def test_a_stream_that_falls_silent_times_out(telemetry: Telemetry, ask: Ask) -> None:
    """What a busy machine has not begun to send by then is no such stream: it is asked again, with more patience."""
    for seconds in (SHORT, 0.5, 2.5):
        telemetry.clear()
        silent = Answer.stream(2, then="hang", hang_seconds=30)
        raised = ask_outside(ask, silent, "chat", stream=True, short=seconds)
        assert isinstance(raised, Exception)
        if said(call(telemetry)) == ("partial", "timeout", "complete"):
            return
    raise AssertionError(said(call(telemetry)))


# --- in a run, and in an attempt --------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [False, True], ids=["bare", "attempt"])
@pytest.mark.parametrize("ask", [*WHOLE.values(), *STREAMED.values()], ids=[*WHOLE, *(f"{n} later" for n in STREAMED)])
def test_a_loop_by_hand_is_a_run(telemetry: Telemetry, ask: Ask, declared: bool) -> None:
    with LocalProvider("openai", Answer.openai_quota()) as one, LocalProvider("openai", Answer.stream(3)) as other:
        chain = [Candidate("openai", "m", one.endpoint), Candidate("groq", "m", other.endpoint)]
        with failover_run("chat", chain=chain) as run:
            for provider, candidate in zip((one, other), chain, strict=True):
                with run.attempt(candidate) if declared else contextlib.nullcontext():
                    status, _ = ask(*asked(provider, "chat", stream=True))
                if status == 200:
                    break
    first, second = telemetry.candidates
    assert said(first) == ("error", "billing", "complete")
    assert said(second) == ("success", None, "complete")
    assert [telemetry.children(each)[0].name for each in (first, second)] == ["chat m", "chat m"]
    assert (telemetry.run["failover.outcome"], telemetry.run["failover.findings"]) == ("fallback", None)


@each_streamed
def test_an_error_that_nobody_reads_settles_at_the_next_step(telemetry: Telemetry, ask: Ask) -> None:
    kept: list[Any] = []

    def keep(url: str, body: Any) -> None:
        import httpx

        client = httpx.Client()
        kept.append((client, client.send(client.build_request("POST", url, json=body), stream=True)))

    with LocalProvider("openai", Answer.openai_quota()) as one, LocalProvider("openai", Answer.stream(3)) as other:
        chain = [Candidate("openai", "m", one.endpoint), Candidate("groq", "m", other.endpoint)]
        with failover_run("chat", chain=chain):
            keep(*asked(one, "chat", stream=True))
            assert telemetry.candidates == []
            ask(*asked(other, "chat", stream=True))
        for client, response in kept:
            response.close()
            client.close()
    first, second = telemetry.candidates
    assert said(first) == ("error", "rate_limit", "partial")
    assert second["candidate.outcome"] == "success"
    assert first.end <= second.start
    assert telemetry.run["failover.outcome"] == "fallback"


# --- the host cannot tell ---------------------------------------------------------------------------------------------

ANSWERS = {
    "success": Answer.ok(),
    "stream": Answer.stream(4),
    "429": Answer.openai_quota(),
    "hang": Answer.hang(1),
    "reset": Answer.reset(),
    "cut": Answer.stream(2, then="cut"),
    "error": Answer.stream(2, then="error"),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@each_streamed
def test_a_streamed_body_is_the_same(ask: Ask, answer: Answer, switch_on: Callable[[], Any]) -> None:
    def way(provider: LocalProvider) -> Any:
        status, read = ask(*asked(provider, "chat", stream=True), seconds=patience(provider, SHORT))
        return status, len(read)

    same_everywhere(switch_on, way, "openai", answer)


def test_a_body_is_handed_on_by_a_generator(telemetry: Telemetry) -> None:
    """Frameworks ask what they are given to stream whether it is one."""
    with LocalProvider("openai", default=Answer.stream(4)) as provider:
        url, body = asked(provider, "chat", stream=True)
        with httpx.stream("POST", url, json=body) as response:
            pieces = response.iter_raw()
            assert isinstance(pieces, Generator)
            first = pieces.send(None)
            pieces.close()
            assert (first != b"", list(pieces)) == (True, [])

        async def ask() -> None:
            async with httpx.AsyncClient() as client, client.stream("POST", url, json=body) as response:
                pieces = response.aiter_raw()
                assert isinstance(pieces, AsyncGenerator)
                assert await pieces.asend(None) != b""
                await pieces.aclose()
                assert [each async for each in pieces] == []

        asyncio.run(ask())
    assert [span["candidate.outcome"] for span in telemetry.spans] == ["success", "success"]
