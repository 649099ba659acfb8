"""The host cannot tell that we are there: same results, same exceptions, same requests on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import json
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import patience
from tests.support.same import CHAIN, PLACES, QUESTION, same_everywhere, seen, shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.spans import Telemetry

# --- calls ------------------------------------------------------------------------------------------------------------


def timeout_of(sdk: Any, provider: LocalProvider) -> Any:
    """Return a client's timeout: connecting takes what it takes."""
    return sdk.Timeout(30, read=patience(provider))


def ask_openai(provider: LocalProvider, retries: int = 0) -> Any:
    with openai.OpenAI(
        base_url=provider.base_url, api_key="sk-local", max_retries=retries, timeout=timeout_of(openai, provider)
    ) as client:
        return shown(client.chat.completions.create(model="m", messages=QUESTION))


def ask_openai_async(provider: LocalProvider, retries: int = 0) -> Any:
    async def ask() -> Any:
        async with openai.AsyncOpenAI(
            base_url=provider.base_url, api_key="sk-local", max_retries=retries, timeout=timeout_of(openai, provider)
        ) as client:
            return shown(await client.chat.completions.create(model="m", messages=QUESTION))

    return asyncio.run(ask())


def ask_anthropic(provider: LocalProvider, retries: int = 0) -> Any:
    with anthropic.Anthropic(
        base_url=provider.base_url, api_key="local", max_retries=retries, timeout=timeout_of(anthropic, provider)
    ) as client:
        return shown(client.messages.create(model="m", max_tokens=5, messages=QUESTION))


def ask_anthropic_async(provider: LocalProvider, retries: int = 0) -> Any:
    async def ask() -> Any:
        async with anthropic.AsyncAnthropic(
            base_url=provider.base_url, api_key="local", max_retries=retries, timeout=timeout_of(anthropic, provider)
        ) as client:
            return shown(await client.messages.create(model="m", max_tokens=5, messages=QUESTION))

    return asyncio.run(ask())


ASKING = {
    "openai": (ask_openai, "openai"),
    "openai async": (ask_openai_async, "openai"),
    "anthropic": (ask_anthropic, "anthropic"),
    "anthropic async": (ask_anthropic_async, "anthropic"),
}
SOON = {"retry-after-ms": "1"}
BUSY = Answer.error(429, "Slow down, this is quite enough of that", code="rate_limit_exceeded", headers=SOON)
ANSWERS = {
    "success": (Answer.ok(),),
    "429 until the SDK gives up": (BUSY, BUSY),
    "429, then success": (BUSY, Answer.ok()),
    "401": (Answer.error(401, "No"),),
    "timeout": (Answer.hang(1),),
    "reset": (Answer.reset(),),
    "html": (Answer.raw(502, "<html>bad gateway</html>", headers=SOON),),
    "html success": (Answer.raw(200, "<html>welcome</html>"),),
    "invalid UTF-8": (Answer.raw(400, b'{"error": {"message": "\xff\xfe\x80"}}', content_type="application/json"),),
    "not JSON": (Answer.raw(200, "{nonsense", content_type="application/json"),),
    "JSON, no object": (Answer.raw(422, "[null]", content_type="application/json"),),
    "empty": (Answer.raw(400, b"", content_type="application/json"),),
}


@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(("ask", "kind"), ASKING.values(), ids=ASKING)
def test_same_result_same_exception_same_requests(
    ask: Callable[..., Any], kind: str, answers: tuple[Answer, ...], switch_on: Callable[[], Telemetry]
) -> None:
    retries = sum(answer is BUSY for answer in answers[:1])
    same_everywhere(switch_on, lambda provider: ask(provider, retries), kind, *answers)


def test_an_error_of_ten_megabytes_is_the_same(switch_on: Callable[[], Telemetry]) -> None:
    body = json.dumps({"error": {"message": "x" * 10_000_000}})
    answer = Answer.raw(400, body, content_type="application/json")

    def ask(provider: LocalProvider) -> Any:
        with openai.OpenAI(base_url=provider.base_url, api_key="k", max_retries=0) as client:
            try:
                client.chat.completions.create(model="m", messages=QUESTION)
            except openai.BadRequestError as problem:
                return len(str(problem)), len(problem.response.content), sorted(vars(problem))

    same_everywhere(switch_on, ask, "openai", answer)


def stream_openai(provider: LocalProvider) -> Any:
    with openai.OpenAI(
        base_url=provider.base_url, api_key="sk-local", max_retries=0, timeout=timeout_of(openai, provider)
    ) as client:
        stream = client.chat.completions.create(model="m", messages=QUESTION, stream=True)
        return _drained(stream, openai.Stream)


def stream_anthropic(provider: LocalProvider) -> Any:
    with anthropic.Anthropic(
        base_url=provider.base_url, api_key="local", max_retries=0, timeout=timeout_of(anthropic, provider)
    ) as client:
        stream = client.messages.create(model="m", max_tokens=5, messages=QUESTION, stream=True)
        return _drained(stream, anthropic.Stream)


def _drained(stream: Any, kind: type) -> Any:
    assert str(type(stream)) == str(kind)
    assert iter(stream) is not None
    found: list[Any] = []
    problem = None
    try:
        found += (shown(chunk) for chunk in stream)
    except Exception as raised:
        problem = seen(raised)
    return found, problem, stream.response.is_closed


def stream_openai_async(provider: LocalProvider) -> Any:
    async def ask() -> Any:
        async with openai.AsyncOpenAI(
            base_url=provider.base_url, api_key="sk-local", max_retries=0, timeout=timeout_of(openai, provider)
        ) as client:
            stream = await client.chat.completions.create(model="m", messages=QUESTION, stream=True)
            return await _adrained(stream, openai.AsyncStream)

    return asyncio.run(ask())


def stream_anthropic_async(provider: LocalProvider) -> Any:
    async def ask() -> Any:
        async with anthropic.AsyncAnthropic(
            base_url=provider.base_url, api_key="local", max_retries=0, timeout=timeout_of(anthropic, provider)
        ) as client:
            stream = await client.messages.create(model="m", max_tokens=5, messages=QUESTION, stream=True)
            return await _adrained(stream, anthropic.AsyncStream)

    return asyncio.run(ask())


async def _adrained(stream: Any, kind: type) -> Any:
    assert str(type(stream)) == str(kind)
    found: list[Any] = []
    problem = None
    try:
        async for chunk in stream:
            found.append(shown(chunk))  # noqa: PERF401 - what came before an error counts
    except Exception as raised:
        problem = seen(raised)
    return found, problem, stream.response.is_closed


STREAMING = {
    "openai": (stream_openai, "openai"),
    "openai async": (stream_openai_async, "openai"),
    "anthropic": (stream_anthropic, "anthropic"),
    "anthropic async": (stream_anthropic_async, "anthropic"),
}
ENDINGS = {
    "end": (Answer.stream(5),),
    "error": (Answer.stream(2, then="error"),),
    "cut": (Answer.stream(2, then="cut"),),
    "truncate": (Answer.stream(2, then="truncate"),),
    "hang": (Answer.stream(2, then="hang", hang_seconds=1),),
    "refused": (Answer.error(401, "No"),),
    "html": (Answer.raw(200, "<html></html>"),),
    "invalid UTF-8": (Answer.raw(200, b"data: \xff\xfe\n\n", content_type="text/event-stream"),),
}


@pytest.mark.parametrize("answers", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize(("ask", "kind"), STREAMING.values(), ids=STREAMING)
def test_same_chunks_and_same_end_of_a_stream(
    ask: Callable[..., Any], kind: str, answers: tuple[Answer, ...], switch_on: Callable[[], Telemetry]
) -> None:
    same_everywhere(switch_on, ask, kind, *answers)


# --- the very objects -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Answer.openai_quota(), Answer.reset(), Answer.hang(1)], ids=lambda a: a.kind)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_exception_that_arrives_is_the_one_the_sdk_made(
    answer: Answer, place: Callable[..., Any], telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[BaseException] = []

    def remember(self: BaseException, *args: Any) -> None:
        Exception.__init__(self, *args)
        made.append(self)

    monkeypatch.setattr(openai.OpenAIError, "__init__", remember)
    with (
        LocalProvider("openai", answer) as provider,
        openai.OpenAI(
            base_url=provider.base_url, api_key="k", max_retries=0, timeout=timeout_of(openai, provider)
        ) as client,
        pytest.raises(openai.APIError) as caught,
    ):
        place(lambda: client.chat.completions.create(model="m", messages=QUESTION))
    assert caught.value is made[-1]


def test_a_result_that_arrives_is_the_one_the_sdk_made(telemetry: Telemetry) -> None:
    made: list[Any] = []

    class Client(openai.OpenAI):
        def _process_response(self, **options: Any) -> Any:
            made.append(super()._process_response(**options))
            return made[-1]

    with LocalProvider("openai") as provider, Client(base_url=provider.base_url, api_key="k") as client:
        for place in PLACES.values():
            assert place(lambda: client.chat.completions.create(model="m", messages=QUESTION)) is made[-1]


def _lives_on(place: Callable[..., Any], provider: LocalProvider) -> tuple[bool, bool]:
    """Whether an exception and its response outlive their handler, with no garbage collection."""
    refs: list[Any] = []

    def handle() -> None:
        with openai.OpenAI(base_url=provider.base_url, api_key="k", max_retries=0) as client:
            try:
                place(lambda: client.chat.completions.create(model="m", messages=QUESTION))
            except openai.APIStatusError as problem:
                refs.extend((weakref.ref(problem), weakref.ref(problem.response)))

    gc.collect()
    gc.disable()
    try:
        handle()
        return refs[0]() is not None, refs[1]() is not None
    finally:
        gc.enable()


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_an_exception_lives_no_longer_than_without_us(
    place: Callable[..., Any], switch_on: Callable[[], Telemetry]
) -> None:
    with LocalProvider("openai", default=Answer.openai_bad_key()) as provider:
        without = _lives_on(PLACES["bare call"], provider)
        switch_on()
        assert _lives_on(place, provider) == without


def test_a_kept_attempt_does_not_keep_the_hosts_exception_alive(telemetry: Telemetry) -> None:
    """An application may keep `attempt.error` and the attempt; the exception drags its frames' locals along."""
    kept: list[Any] = []

    class OwnError(Exception):
        pass

    def handle() -> weakref.ref[OwnError]:
        with failover_run("chat", chain=CHAIN) as run:
            try:
                with run.attempt(CHAIN[0]) as attempt:
                    kept.append(attempt)
                    raise OwnError
            except OwnError as problem:
                return weakref.ref(problem)

    ref = handle()
    gc.collect()
    assert ref() is None


class _Witness:
    """Stands in a frame; dies with it."""


def test_a_failure_after_the_attempt_has_ended_keeps_no_frames(telemetry: Telemetry) -> None:
    """Its caller gave up; what its thread raises later, a builtin error, is not kept with its frames."""
    go, done, seen = threading.Event(), threading.Event(), list[Any]()

    def late(_: httpx.Request) -> httpx.Response:
        witness = _Witness()
        seen.append(weakref.ref(witness))
        go.wait(60)
        raise ConnectionResetError(104, "reset")

    candidate = Candidate("openai", "m", "https://api.openai.com")

    def work() -> None:
        with httpx.Client(transport=httpx.MockTransport(late)) as client, contextlib.suppress(OSError):
            client.post("https://api.openai.com/v1/chat/completions", json={})
        done.set()

    with failover_run("chat", chain=[candidate]) as run:
        with contextlib.suppress(TimeoutError), run.attempt(candidate):
            thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
            thread.start()
            while not seen:
                time.sleep(0.001)
            raise TimeoutError("gave up")
        go.set()
        assert done.wait(60)
        thread.join()
    gc.collect()
    assert telemetry.candidates[0]["candidate.index"] == 0
    assert run is not None
    assert seen[0]() is None


# --- cancellation and interrupts --------------------------------------------------------------------------------------


async def _cancelled_by_task(call: Awaitable[Any]) -> Any:
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0.4)
    task.cancel("enough")
    try:
        return await task
    except asyncio.CancelledError as problem:
        return seen(problem), task.cancelled()


async def _cancelled_by_wait_for(call: Awaitable[Any]) -> Any:
    try:
        return await asyncio.wait_for(call, 0.4)
    except asyncio.TimeoutError as problem:
        return seen(problem)


async def _cancelled_by_timeout(call: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(0.4):  # type: ignore[attr-defined,unused-ignore]
            return await call
    except TimeoutError as problem:
        return seen(problem)


CANCELLING = [_cancelled_by_task, _cancelled_by_wait_for]
CANCELLING += [_cancelled_by_timeout] if sys.version_info >= (3, 11) else []


@pytest.mark.parametrize("cancel", CANCELLING)
@pytest.mark.parametrize("streamed", [False, True])
def test_cancellation_arrives_the_same(
    cancel: Callable[..., Any], streamed: bool, switch_on: Callable[[], Telemetry]
) -> None:
    def ask(provider: LocalProvider) -> Any:
        async def call() -> Any:
            async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="k", max_retries=0) as client:
                reply: Any = await client.chat.completions.create(model="m", messages=QUESTION, stream=streamed)
                return [chunk async for chunk in reply]

        return asyncio.run(cancel(call()))

    answer = Answer.stream(2, then="hang", hang_seconds=1) if streamed else Answer.hang(1)
    same_everywhere(switch_on, ask, "openai", answer)


@pytest.mark.parametrize("stop", [KeyboardInterrupt("stop"), SystemExit(3), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_an_interrupt_passes_untouched(stop: BaseException, place: Callable[..., Any], telemetry: Telemetry) -> None:
    class Interrupting(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise stop

    with pytest.raises(type(stop)) as caught, httpx.Client(transport=Interrupting()) as client:
        place(lambda: client.post("https://api.openai.com/v1/chat/completions"))
    assert caught.value is stop
    assert stop.__context__ is None
    assert not vars(stop)
