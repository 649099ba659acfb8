"""Streams: the attempt ends when its stream does, and nothing is current while the consumer has a chunk."""

# ruff: noqa: PT012, SIM117 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import asyncio
import contextlib
import gc
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from opentelemetry import context as context_api
from opentelemetry.trace import get_current_span

from otel_failover import failover_run
from otel_failover._core import context as scope
from otel_failover.testing.providers import Answer
from tests.support.hosts import MESSAGES, LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.support.spans import Exported, Telemetry

TEXT = ["Hel", "lo ", "you ", "there"]


def chat(each: Stand, client: Any, **options: Any) -> Any:
    return client.chat.completions.create(model=each.candidate.model, messages=MESSAGES, stream=True, **options)


def responses(each: Stand, client: Any, **options: Any) -> Any:
    return client.responses.create(model=each.candidate.model, input="hello", stream=True, **options)


def messages(each: Stand, client: Any, **options: Any) -> Any:
    return client.messages.create(model=each.candidate.model, messages=MESSAGES, max_tokens=16, stream=True, **options)


KINDS: list[tuple[str, Callable[..., Any]]] = [("openai", chat), ("openai", responses), ("anthropic", messages)]
every_kind = pytest.mark.parametrize(("provider", "ask"), KINDS, ids=["chat", "responses", "messages"])


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def nothing_current() -> None:
    assert not get_current_span().get_span_context().is_valid
    assert context_api.get_current() == {}
    assert scope.run_in() is None
    assert scope.attempt_in() is None
    assert scope.call_in() is None


def ended(telemetry: Telemetry, outcome: str, reason: str | None = None) -> Exported:
    """The only attempt, ended once, with one run and one call around and in it."""
    (span,) = telemetry.candidates
    calls = [each for each in telemetry.children(span) if each.name.startswith("chat ")]
    assert len(calls) <= 1
    assert len(telemetry.starting("failover chat")) == 1
    assert telemetry.run.end >= span.end
    assert (span["candidate.outcome"], span["failover.reason.code"]) == (outcome, reason)
    assert span.status == ("UNSET" if outcome in ("success", "cancelled") else "ERROR")
    assert telemetry.markers == []
    assert span.verdict[0] in ("verified", "unverified")
    return span


def opened(telemetry: Telemetry, each: Stand, ask: Callable[..., Any], **options: Any) -> Any:
    """Return a stream out of the `with` of its attempt and of its run."""
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
        stream = ask(each, each.client, **options)
    assert telemetry.spans == [], "both stay open until the stream ends"
    nothing_current()
    return stream


# --- how a stream ends ------------------------------------------------------------------------------------------------


@every_kind
def test_a_stream_is_consumed(telemetry: Telemetry, stack: ExitStack, provider: str, ask: Callable[..., Any]) -> None:
    each = stack.enter_context(stand(provider, Answer.stream(TEXT)))
    bare = list(ask(each, each.client))
    telemetry.clear()
    chunks = []
    for chunk in opened(telemetry, each, ask):
        nothing_current()
        chunks.append(chunk)
    assert [type(chunk) for chunk in chunks] == [type(chunk) for chunk in bare]
    assert len(chunks) >= len(TEXT)
    span = ended(telemetry, "success")
    assert (span["http.response.status_code"], span["failover.evidence"]) == (200, "complete")
    assert span.verdict == ("verified", None)
    assert telemetry.run["failover.outcome"] == "primary"
    assert each.server.log[-1].ending == "end"


@every_kind
def test_an_async_stream_is_consumed(
    telemetry: Telemetry, stack: ExitStack, provider: str, ask: Callable[..., Any]
) -> None:
    each = stack.enter_context(stand(provider, Answer.stream(TEXT, drip=0.005)))

    async def main() -> int:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            stream = await ask(each, each.aclient)
        assert telemetry.spans == []
        count = 0
        async for _ in stream:
            nothing_current()
            count += 1
        await each.aclient.close()
        return count

    assert asyncio.run(main()) >= len(TEXT)
    assert ended(telemetry, "success").verdict == ("verified", None)


@every_kind
@pytest.mark.parametrize("how", ["close", "with", "drop", "never iterated", "break and drop"])
def test_a_stream_that_its_consumer_leaves_served(
    telemetry: Telemetry, stack: ExitStack, provider: str, ask: Callable[..., Any], how: str
) -> None:
    """The provider answered; that nobody listened to the end is no failure of it."""
    each = stack.enter_context(stand(provider, Answer.stream(TEXT, drip=0.01)))
    stream = opened(telemetry, each, ask)
    if how == "with":
        with stream:
            next(iter(stream))
    elif how == "close":
        next(iter(stream))
        stream.close()
    elif how == "break and drop":
        for _ in stream:
            break
    del stream
    gc.collect()
    span = ended(telemetry, "success")
    assert span["http.response.status_code"] == 200
    assert telemetry.run["failover.outcome"] == "primary"


@every_kind
@pytest.mark.parametrize("how", ["close", "with", "drop"])
def test_an_async_stream_that_its_consumer_leaves_served(
    telemetry: Telemetry, stack: ExitStack, provider: str, ask: Callable[..., Any], how: str
) -> None:
    each = stack.enter_context(stand(provider, Answer.stream(TEXT, drip=0.01)))

    async def main() -> None:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            stream = await ask(each, each.aclient)
        if how == "with":
            async with stream:
                async for _ in stream:
                    break
        else:
            async for _ in stream:
                break
        if how == "close":
            await stream.close()
        del stream
        for _ in range(3):  # asynchronous generators are closed by tasks, one inside the other
            await asyncio.sleep(0.01)
            gc.collect()
        ended(telemetry, "success")
        await each.aclient.close()

    asyncio.run(main())


FAILURES = [
    ("error", None, None),
    ("cut", "partial_stream", None),
    ("truncate", "partial_stream", None),
    ("hang", "timeout", "read"),
]


@every_kind
@pytest.mark.parametrize(("then", "reason", "timeout"), FAILURES, ids=str)
def test_a_stream_that_fails_midway_is_partial(
    telemetry: Telemetry,
    stack: ExitStack,
    provider: str,
    ask: Callable[..., Any],
    then: Any,
    reason: str | None,
    timeout: str | None,
) -> None:
    code = "overloaded_error" if provider == "anthropic" else "rate_limit_exceeded"
    named: dict[str, Any] = {"type": code} if provider == "anthropic" else {"code": code}
    answer = Answer.stream(TEXT, then=then, message="Something gave way on our side of the stream", **named)
    each = stack.enter_context(stand(provider, answer, timeout=0.15))
    stream = opened(telemetry, each, ask)
    seen = 0
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each SDK has its own
        for _ in stream:
            nothing_current()
            seen += 1
    assert seen >= len(TEXT)
    expected = reason or ("overloaded" if provider == "anthropic" else "rate_limit")
    span = ended(telemetry, "partial", expected)
    assert span["http.response.status_code"] == 200
    assert span["error.type"] == expected
    assert span["failover.timeout.kind"] == timeout
    assert span["failover.error.code"] == (code if then == "error" else None)
    if then == "error":
        assert span.description == "Something gave way on our side of the stream"
    assert telemetry.run["failover.outcome"] == "exhausted"
    assert caught.value.__traceback__ is not None


@every_kind
def test_an_async_stream_that_fails_midway_is_partial(
    telemetry: Telemetry, stack: ExitStack, provider: str, ask: Callable[..., Any]
) -> None:
    named: dict[str, Any] = {"type": "made_up"} if provider == "anthropic" else {"code": "made_up", "type": "made_up"}
    answer = Answer.stream(TEXT, then="error", message="Something gave way on our side", **named)
    each = stack.enter_context(stand(provider, answer))

    async def main() -> None:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            stream = await ask(each, each.aclient)
        with pytest.raises((openai.APIError, anthropic.APIError)):
            async for _ in stream:
                nothing_current()
        await each.aclient.close()

    asyncio.run(main())
    span = ended(telemetry, "partial", "partial_stream")
    assert span["failover.error.code"] == "made_up"


@pytest.mark.parametrize("then", ["failed", "error"])
def test_a_responses_stream_that_says_it_failed_is_partial(telemetry: Telemetry, stack: ExitStack, then: Any) -> None:
    """`response.failed` raises nothing: the loop may never notice."""
    answer = Answer.stream(TEXT, then=then, message="Too many of them at once", code="rate_limit_exceeded")
    each = stack.enter_context(stand("openai", answer))
    with contextlib.suppress(openai.APIError):
        list(opened(telemetry, each, responses))
    span = ended(telemetry, "partial", "rate_limit")
    assert (span["failover.error.code"], span.description) == ("rate_limit_exceeded", "Too many of them at once")
    assert telemetry.run["failover.outcome"] == "exhausted"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_flat_error_event_that_raises_nothing_is_partial(
    telemetry: Telemetry, stack: ExitStack, asynchronous: bool
) -> None:
    """The reference documents the event's facts flat, and the SDK hands such an event on as a chunk."""
    events = (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"m","output_index":0,'
        b'"content_index":0,"delta":"Hel","logprobs":[],"sequence_number":1}\n\n'
        b'event: error\ndata: {"type":"error","code":"server_error","message":"It went wrong over here",'
        b'"param":null,"sequence_number":2}\n\n'
    )
    each = stack.enter_context(stand("openai", Answer.raw(200, events, content_type="text/event-stream")))

    async def main() -> None:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            stream = await responses(each, each.aclient)
        assert len([chunk async for chunk in stream]) == 2
        await each.aclient.close()

    if asynchronous:
        asyncio.run(main())
    else:
        assert len(list(opened(telemetry, each, responses))) == 2
    span = ended(telemetry, "partial", "server_error")
    assert span.description == "It went wrong over here"


@every_kind
@pytest.mark.parametrize("answer", [Answer.error(429, "Not so many at once, if you please"), Answer.reset()])
def test_a_stream_that_never_began_is_an_error(
    telemetry: Telemetry, stack: ExitStack, provider: str, ask: Callable[..., Any], answer: Answer
) -> None:
    each = stack.enter_context(stand(provider, answer))
    with pytest.raises((openai.APIError, anthropic.APIError)):
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            ask(each, each.client)
    span = ended(telemetry, "error", "connection" if answer.kind == "reset" else "rate_limit")
    assert span["http.response.status_code"] == (None if answer.kind == "reset" else 429)


def test_an_error_event_before_any_chunk_is_an_error(telemetry: Telemetry, stack: ExitStack) -> None:
    event = b'data: {"error": {"message": "Nothing to be had today", "code": "rate_limit_exceeded"}}\n\n'
    each = stack.enter_context(stand("openai", Answer.raw(200, event, content_type="text/event-stream")))
    with pytest.raises(openai.APIError):
        list(opened(telemetry, each, chat))
    span = ended(telemetry, "error", "rate_limit")
    assert span["http.response.status_code"] == 200


# --- where it is consumed ---------------------------------------------------------------------------------------------


def test_a_stream_is_consumed_in_another_thread(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("openai", Answer.stream(TEXT, drip=0.005)))
    stream = opened(telemetry, each, chat)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: len(list(stream))).result() >= len(TEXT)
    assert ended(telemetry, "success").verdict == ("verified", None)


def test_a_stream_is_consumed_in_another_task(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("anthropic", Answer.stream(TEXT, drip=0.005)))

    async def main() -> None:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            stream = await messages(each, each.aclient)

        async def consume() -> int:
            return len([chunk async for chunk in stream])

        assert await asyncio.create_task(consume()) >= len(TEXT)
        await each.aclient.close()

    asyncio.run(main())
    assert ended(telemetry, "success").verdict == ("verified", None)


def test_a_stream_is_returned_out_of_attempt_and_run(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.stream(TEXT)))

    def serve() -> Any:
        with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
            for each, ask in ((first, chat), (second, messages)):
                try:
                    with run.attempt(each.candidate):
                        return ask(each, each.client)
                except openai.RateLimitError:
                    continue
        return None

    stream = serve()
    assert [span.name for span in telemetry.candidates] == ["candidate openai"]
    assert telemetry.starting("failover ") == []
    list(stream)
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["error", "success"]
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.run.end >= telemetry.candidates[1].end


def test_a_stream_that_fails_after_its_run_was_left_fails_the_run(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("openai", Answer.stream(TEXT, then="cut")))
    with pytest.raises(Exception):  # noqa: B017, PT011 - the transport's own
        list(opened(telemetry, each, chat))
    ended(telemetry, "partial", "partial_stream")
    assert telemetry.run.status == "ERROR"


def test_a_bare_stream_in_a_run_is_an_attempt(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("openai", Answer.stream(TEXT)))
    with failover_run("chat", chain=[each.candidate]):
        for _ in chat(each, each.client):
            assert scope.attempt_in() is None
    assert ended(telemetry, "success").verdict == ("verified", None)


def test_two_streams_of_one_attempt_end_it_together(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("openai", Answer.stream(TEXT)))
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
        streams = [chat(each, each.client), chat(each, each.client)]
    list(streams[0])
    assert telemetry.candidates == []
    list(streams[1])
    assert ended_twice(telemetry)["failover.wire.requests"] == 2


def ended_twice(telemetry: Telemetry) -> Exported:
    (span,) = telemetry.candidates
    assert span["candidate.outcome"] == "success"
    return span


@pytest.mark.parametrize("gone_on", [False, True])
def test_a_stream_cancelled_in_the_middle(telemetry: Telemetry, stack: ExitStack, gone_on: bool) -> None:
    each = stack.enter_context(stand("openai", Answer.stream(TEXT, then="hang")))
    other = stack.enter_context(stand("anthropic", Answer.ok()))

    async def serve() -> None:
        with failover_run("chat", chain=[each.candidate, other.candidate]) as run:
            try:
                with run.attempt(each.candidate):
                    async for _ in await chat(each, each.aclient):
                        pass
            except asyncio.CancelledError:
                if not gone_on:
                    raise
                with run.attempt(other.candidate):
                    await other.aask()

    async def main() -> None:
        task = asyncio.create_task(serve())
        await asyncio.sleep(0.15)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await each.aclient.close()
        await other.aclient.close()

    asyncio.run(main())
    span = telemetry.candidates[0]
    if gone_on:
        assert (span["candidate.outcome"], span["failover.reason.code"]) == ("partial", "timeout")
        assert span["failover.killed_by"] == "caller_timeout"
        assert telemetry.run["failover.outcome"] == "fallback"
    else:
        assert (span["candidate.outcome"], span["failover.killed_by"]) == ("cancelled", "user")
        assert telemetry.run["failover.outcome"] == "cancelled"


# --- the SDKs' helpers ------------------------------------------------------------------------------------------------


def test_anthropics_helper(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("anthropic", Answer.stream(TEXT)))
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
        options: Any = {"model": each.candidate.model, "messages": MESSAGES, "max_tokens": 16}
        with each.client.messages.stream(**options) as stream:
            assert "".join(stream.text_stream) == "".join(TEXT)
            assert stream.get_final_message().stop_reason == "end_turn"
    assert ended(telemetry, "success").verdict == ("verified", None)


def test_anthropics_asynchronous_helper_that_fails(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("anthropic", Answer.stream(TEXT, then="error", type="overloaded_error")))

    async def main() -> None:
        options: Any = {"model": each.candidate.model, "messages": MESSAGES, "max_tokens": 16}
        with failover_run("chat", chain=[each.candidate]) as run:
            with pytest.raises(anthropic.APIError), run.attempt(each.candidate):
                async with each.aclient.messages.stream(**options) as stream:
                    async for _ in stream.text_stream:
                        pass
        await each.aclient.close()

    asyncio.run(main())
    assert ended(telemetry, "partial", "overloaded")["failover.error.code"] == "overloaded_error"


@pytest.mark.parametrize("then", ["end", "error"])
def test_openais_chat_helper(telemetry: Telemetry, stack: ExitStack, then: Any) -> None:
    each = stack.enter_context(stand("openai", Answer.stream(TEXT, then=then, code="rate_limit_exceeded")))
    with failover_run("chat", chain=[each.candidate]) as run:
        with contextlib.suppress(openai.APIError), run.attempt(each.candidate):
            with each.client.chat.completions.stream(model=each.candidate.model, messages=MESSAGES) as stream:
                kinds = [event.type for event in stream]
            assert "content.delta" in kinds
    ended(telemetry, *(("success",) if then == "end" else ("partial", "rate_limit")))


HELPERS = ["chat", "responses", "messages"]


def helper(each: Stand, name: str, client: Any) -> Any:
    model = each.candidate.model
    if name == "messages":
        return client.messages.stream(model=model, messages=MESSAGES, max_tokens=16)
    if name == "chat":
        return client.chat.completions.stream(model=model, messages=MESSAGES)
    return client.responses.stream(model=model, input="hello")


@pytest.mark.parametrize("name", HELPERS)
def test_a_helper_left_early_served(telemetry: Telemetry, stack: ExitStack, name: str) -> None:
    each = stack.enter_context(stand("anthropic" if name == "messages" else "openai", Answer.stream(TEXT, drip=0.01)))
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
        with helper(each, name, each.client) as stream:
            for _ in stream:
                break
    ended(telemetry, "success")
    del stream


@pytest.mark.parametrize("name", HELPERS)
def test_an_async_helper_left_early_served(telemetry: Telemetry, stack: ExitStack, name: str) -> None:
    each = stack.enter_context(stand("anthropic" if name == "messages" else "openai", Answer.stream(TEXT, drip=0.01)))

    async def main() -> None:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            async with helper(each, name, each.aclient) as stream:
                async for _ in stream:
                    break
        ended(telemetry, "success")
        await each.aclient.close()
        del stream

    asyncio.run(main())


# --- the loop's own streams -------------------------------------------------------------------------------------------


def test_a_generator_of_the_loop_keeps_the_attempt_open(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("openai", Answer.ok("one"), Answer.ok("two")))

    def chunks() -> Iterator[str]:
        for _ in range(2):
            assert scope.attempt_in() is not None
            yield each.ask().choices[0].message.content

    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate) as attempt:
        stream = attempt.stream(chunks())
    assert telemetry.candidates == []
    for _ in stream:
        nothing_current()
    span = ended_twice(telemetry)
    assert span["failover.wire.statuses"] == ["200", "200"]
    assert telemetry.run["failover.outcome"] == "primary"


def test_an_asynchronous_generator_of_the_loop_that_fails_is_partial(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("openai", Answer.ok("one"), Answer.openai_server_error()))

    async def chunks() -> AsyncIterator[str]:
        for _ in range(2):
            assert scope.attempt_in() is not None
            yield (await each.aask()).choices[0].message.content

    async def main() -> None:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate) as attempt:
            stream = attempt.stream(chunks())
        with pytest.raises(openai.InternalServerError):
            async for _ in stream:
                nothing_current()
        await each.aclient.close()

    asyncio.run(main())
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("partial", "server_error")
    assert span["http.response.status_code"] == 500
    assert span.verdict == ("verified", None)
    assert telemetry.run["failover.outcome"] == "exhausted"


@pytest.mark.parametrize("how", ["close", "drop", "break"])
def test_a_generator_of_the_loop_that_is_left(telemetry: Telemetry, stack: ExitStack, how: str) -> None:
    each = stack.enter_context(stand("openai", Answer.ok()))

    def chunks() -> Iterator[int]:
        each.ask()
        yield 1
        yield 2

    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate) as attempt:
        stream = attempt.stream(chunks())
    assert next(stream) == 1
    if how == "close":
        stream.close()
    del stream
    gc.collect()
    assert ended_twice(telemetry).verdict == ("verified", None)


def test_a_generator_that_raises_another_candidates_error_is_judged_at_its_end(
    telemetry: Telemetry, stack: ExitStack
) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.1))

    def chunks(stale: str) -> Iterator[str]:
        yield "so far so good"
        with contextlib.suppress(anthropic.APITimeoutError):
            second.ask()
        raise LoopError(stale)

    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.RateLimitError) as caught, run.attempt(first.candidate):
            first.ask()
        with run.attempt(second.candidate) as attempt:
            stream = attempt.stream(chunks(str(caught.value)))
    with pytest.raises(LoopError):
        list(stream)
    span = telemetry.candidates[1]
    assert span.verdict == ("mismatch", "stale_error")
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("partial", "timeout")
    (marker,) = telemetry.markers
    assert marker.parent_id == span.span_id


def test_what_cannot_be_iterated_over_is_handed_back(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("openai", Answer.ok()))
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate) as attempt:
        each.ask()
        assert attempt.stream(17) == 17
    ended_twice(telemetry)


def test_a_decorated_generator_that_is_closed_ends_its_run_there(telemetry: Telemetry, stack: ExitStack) -> None:
    """Nobody's lock is held below a generator of the host's: its end does not wait for our next step."""
    each = stack.enter_context(stand("openai", Answer.ok()))

    @failover_run("chat")
    def words() -> Iterator[str]:
        each.ask()
        yield "one"
        yield "two"

    generator = words()
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    assert telemetry.run["failover.outcome"] == "primary"
