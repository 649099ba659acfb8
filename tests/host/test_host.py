"""The host cannot tell that we are there: same results, same exceptions, same requests on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import enum
import functools
import gc
import inspect
import json
import os
import pickle
import re
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from tests.support.spans import Telemetry

ROOT = Path(__file__).parents[2]
QUESTION: Any = [{"role": "user", "content": "Hello?"}]
CHAIN = [Candidate("openai", "m"), Candidate("anthropic", "m")]

# --- what a host sees -------------------------------------------------------------------------------------------------

_OURS = ("otel_failover", "wrapt", "tests")
_FRESH = re.compile(r"cancel scope \w+|\b(chatcmpl|resp|msg|req)[-_][\w-]+|0x[0-9a-f]+|127\.0\.0\.1:\d+|\d{10}")


def _same(text: object) -> str:
    """Return a text without ids, addresses and times, which are new with every request."""
    return _FRESH.sub("*", str(text))


def frames(problem: BaseException) -> list[tuple[str, str]]:
    """Return file and function of each frame of a traceback, the test's and ours left out."""
    found = [(Path(frame.filename), frame.name) for frame in traceback.extract_tb(problem.__traceback__)]
    return [(str(path), name) for path, name in found if not any(part in _OURS for part in path.parts)]


def seen(problem: BaseException | None, depth: int = 0) -> Any:
    """Return everything a handler could look at in an exception, causes and contexts included."""
    if problem is None or depth > 5:
        return None
    return {
        "type": type(problem),
        "args": _same(problem.args),
        "text": _same(problem),
        "keys": sorted(vars(problem)),
        "notes": getattr(problem, "__notes__", None),
        "suppressed": problem.__suppress_context__,
        "cause": seen(problem.__cause__, depth + 1),
        "context": seen(problem.__context__, depth + 1),
        "frames": frames(problem),
    }


def shown(result: Any) -> Any:
    """Return a result as a host would look at it."""
    if hasattr(result, "model_dump"):
        return type(result), _same(result.model_dump())
    return type(result), _same(result)


def requests(provider: LocalProvider) -> list[tuple[str, str, dict[str, str], bytes, int | None]]:
    """Return what reached a provider, field by field."""
    return [(each.method, each.path, each.headers, each.body, each.status) for each in provider.log]


def observe(call: Callable[[], Any], provider: LocalProvider, answers: tuple[Answer, ...]) -> dict[str, Any]:
    """Run a call against a freshly programmed provider; return all that can be observed from outside."""
    provider.program(*answers)
    provider.clear()
    outcome: dict[str, Any] = {}
    try:
        outcome["result"] = call()
    except Exception as problem:
        outcome["raised"] = seen(problem)
    outcome["requests"] = requests(provider)
    return outcome


def _bare(call: Callable[[], Any]) -> Any:
    return call()


def _in_run(call: Callable[[], Any]) -> Any:
    with failover_run("chat"):
        return call()


def _in_attempt(call: Callable[[], Any]) -> Any:
    with failover_run("chat", chain=CHAIN) as run, run.attempt(CHAIN[0]):
        return call()


PLACES = {"bare call": _bare, "in a run": _in_run, "in an attempt": _in_attempt}


def same_everywhere(
    telemetry: Callable[[], Any], call: Callable[[LocalProvider], Any], kind: Any, *answers: Answer
) -> Any:
    """Compare a call without us with the same call with us: bare, in a run, in an attempt."""
    with LocalProvider(kind) as provider:
        without = observe(lambda: call(provider), provider, answers)
        telemetry()
        for place, inside in PLACES.items():
            with_us = observe(functools.partial(inside, lambda: call(provider)), provider, answers)
            assert with_us == without, place
    for _, _, headers, _, _ in without["requests"]:
        assert not {"traceparent", "tracestate", "baggage"} & set(headers)
    return without


@pytest.fixture
def switch_on(request: pytest.FixtureRequest) -> Callable[[], Telemetry]:
    """Return what turns us on in the middle of a test."""
    return lambda: request.getfixturevalue("telemetry")


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
        without = _lives_on(_bare, provider)
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


# --- what introspection says ------------------------------------------------------------------------------------------


def _places() -> dict[str, Any]:
    from openai import _base_client, _streaming

    return {
        "request": _base_client.SyncAPIClient.request,
        "async request": _base_client.AsyncAPIClient.request,
        "stream": _streaming.Stream.__stream__,
        "async stream": _streaming.AsyncStream.__stream__,
        "close": _streaming.Stream.close,
        "async close": _streaming.AsyncStream.close,
        "send": httpx.Client.send,
        "async send": httpx.AsyncClient.send,
    }


def _outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as problem:
        return type(problem)


def _facts(function: Any) -> dict[str, Any]:
    return {
        "signature": str(inspect.signature(function)),
        "coroutine": inspect.iscoroutinefunction(function),
        "generator": inspect.isgeneratorfunction(function),
        "async generator": inspect.isasyncgenfunction(function),
        "function": inspect.isfunction(function),
        "routine": inspect.isroutine(function),
        "name": function.__name__,
        "qualified": function.__qualname__,
        "module": function.__module__,
        "doc": function.__doc__,
        "annotations": function.__annotations__,
        "defaults": function.__kwdefaults__,
        "source": inspect.getsource(function),
        "callable": callable(function),
    }


def _bound_facts(client: Any) -> dict[str, Any]:
    return {
        "method": inspect.ismethod(client.request),
        "self": client.request.__self__ is client,
        "equal": client.request == client.request,
        "signature": str(inspect.signature(client.request)),
        "client pickles": _outcome(lambda: pickle.dumps(client)),
        "client is copied": _outcome(lambda: type(copy.copy(client))),
        "isinstance": isinstance(client, openai.OpenAI),
        "names": dir(client),
    }


def test_introspection_sees_no_difference(switch_on: Callable[[], Telemetry]) -> None:
    with openai.OpenAI(api_key="k") as client:
        before = {name: _facts(function) for name, function in _places().items()}, _bound_facts(client)
        switch_on()
        assert ({name: _facts(function) for name, function in _places().items()}, _bound_facts(client)) == before


def _copied(how: Callable[[Any], Any], function: Any) -> str:
    how(function)
    return "done"


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_patched_functions_copy_and_pickle_as_before(
    how: Callable[[Any], Any], switch_on: Callable[[], Telemetry]
) -> None:
    before = {name: _outcome(functools.partial(_copied, how, function)) for name, function in _places().items()}
    switch_on()
    after = {name: _outcome(functools.partial(_copied, how, function)) for name, function in _places().items()}
    assert after == before


def test_a_subclass_that_overrides_send_and_calls_super_works(telemetry: Telemetry) -> None:
    sent: list[Any] = []

    class Client(httpx.Client):
        def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            sent.append(request)
            return super().send(request, **options)

    with LocalProvider("openai") as provider, Client() as client:
        assert client.get(provider.base_url + "/models").status_code == 200
        assert httpx.Client.send(client, client.build_request("GET", provider.base_url + "/models")).status_code == 200
    assert len(sent) == 1


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


# --- bad input --------------------------------------------------------------------------------------------------------


class Nasty:
    """Every attribute raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class NastyError(Exception):
    """An exception that cannot be read, printed or hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare")

    def __str__(self) -> str:
        raise RuntimeError("no text")

    @property
    def response(self) -> Any:
        raise RuntimeError("no response")

    @property
    def request(self) -> Any:
        raise RuntimeError("no request")

    @property
    def status_code(self) -> Any:
        raise RuntimeError("no status")

    message = body = code = exceptions = response


CHAINS: dict[str, Any] = {
    "empty": [],
    "nobody knows them": ["acme/m", "m", ""],
    "junk": [None, 5, object(), Nasty(), ["openai"]],
    "a text": "openai/m",
    "a set": {"openai/m"},
    "a mapping": {"openai/m": 1},
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_a_strange_chain_stops_nobody(chain: Any, telemetry: Telemetry) -> None:
    with failover_run("chat", chain=chain) as run:
        for entry in ("openai/m", None, 5, Nasty(), "", Candidate("x", "y")):
            with run.attempt(entry) as attempt:
                attempt.fail("no")
            run.skip(entry, reason=entry)
    assert len(telemetry.candidates) == 6
    assert len(telemetry.starting("skip")) == 6
    assert telemetry.run.status == "ERROR"
    assert telemetry.run["failover.attempt.count"] == 6


@pytest.mark.parametrize("chain", [None, "iterator"])
def test_without_a_chain_attempts_are_recorded_in_order_of_appearance(chain: Any, telemetry: Telemetry) -> None:
    with failover_run("chat", chain=chain and iter(["openai/m"])) as run:
        for candidate in ("openai/m", "anthropic/m", "openai/m"):
            with run.attempt(candidate) as attempt:
                attempt.fail("no")
    assert [span["candidate.index"] for span in telemetry.candidates] == [0, 1, 0]
    assert [span["candidate.attempt"] for span in telemetry.candidates] == [1, 1, 2]


def test_a_chain_that_can_be_read_once_is_left_for_the_host(telemetry: Telemetry) -> None:
    chain = iter(["openai/m", "anthropic/m"])
    with failover_run("chat", chain=chain):
        assert list(chain) == ["openai/m", "anthropic/m"]


@pytest.mark.parametrize("chain", [5, object(), Nasty()], ids=["number", "object", "nasty"])
def test_a_chain_that_is_none_is_told_and_the_run_goes_on(
    chain: Any, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with failover_run("chat", chain=chain) as run, run.attempt("openai/m"):
        pass
    assert telemetry.run
    assert "chain" in caplog.text


@pytest.mark.parametrize("endpoint", ["httpx.URL", 5, ["x"]])
def test_a_candidate_takes_any_endpoint(endpoint: Any, telemetry: Telemetry) -> None:
    given: Any = httpx.URL("https://api.openai.com/v1") if endpoint == "httpx.URL" else endpoint
    found = Candidate("openai", "m", endpoint=given).endpoint
    assert found is None or type(found) is str
    assert found == "https://api.openai.com" or endpoint != "httpx.URL"


@pytest.mark.parametrize("profile", [7, object()], ids=["number", "object"])
def test_a_candidate_takes_any_profile(profile: Any, telemetry: Telemetry) -> None:
    candidate = Candidate("openai", "m", profile=profile)
    with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
        pass
    assert len(telemetry.candidates) == 1


@pytest.mark.parametrize("number", range(10))
def test_fail_and_reject_take_anything(number: int, telemetry: Telemetry) -> None:
    errors: list[Any] = [
        None, Nasty(), NastyError(), 5, b"no", {}, {"error": Nasty()}, {Nasty(): 1}, [Nasty()], Nasty,
    ]  # fmt: skip
    with failover_run("chat", chain=CHAIN) as run:
        with run.attempt(CHAIN[0]) as attempt:
            attempt.fail(errors[number])
        with run.attempt(CHAIN[1]) as attempt:
            attempt.reject(errors[number])
        run.skip(CHAIN[0], reason=errors[number], cause=errors[number])
        run.stop(errors[number])
    assert [span.status for span in telemetry.candidates] == ["ERROR", "UNSET"]
    assert telemetry.candidates[1].attributes["candidate.outcome"] == "rejected"
    assert telemetry.run["failover.outcome"] == "exhausted"


class Reason(enum.Enum):
    """What a loop may use for its reasons."""

    RATE_LIMIT = 1


@pytest.mark.parametrize("error", [429, True, 0.5, Reason.RATE_LIMIT, TimeoutError, b"busy"], ids=repr)
def test_a_value_that_everybody_may_use_is_nobodys_error_object(error: object, telemetry: Telemetry) -> None:
    """`fail(429)` or `fail(Reason.RATE_LIMIT)` for two candidates is no mismatch: everybody shares the object."""
    with failover_run("chat", chain=CHAIN) as run:
        for candidate in CHAIN:
            with run.attempt(candidate) as attempt:
                attempt.fail(error)
    assert not telemetry.markers


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_an_unreadable_exception_passes_and_is_recorded(place: Callable[..., Any], telemetry: Telemetry) -> None:
    problem = NastyError()

    def fails() -> None:
        raise problem

    with pytest.raises(NastyError) as caught:
        place(fails)
    assert caught.value is problem
    assert not vars(problem)
    if place is _in_attempt:
        (span,) = telemetry.candidates
        assert span["candidate.outcome"] == "error"
        assert span.status == "ERROR"


def test_an_unreadable_exception_of_a_transport_passes_and_is_recorded(telemetry: Telemetry) -> None:
    problem = NastyError()

    class Failing(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise problem

    with failover_run("chat", chain=CHAIN) as run:
        with (
            pytest.raises(NastyError) as caught,
            run.attempt(CHAIN[0]),
            httpx.Client(transport=Failing()) as client,
        ):
            client.post("https://api.openai.com/v1/chat/completions")
        with run.attempt(CHAIN[1]) as attempt:
            attempt.fail(problem)
    assert caught.value is problem
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["error", "error"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are new in 3.11")
def test_an_exception_group_passes_untouched(telemetry: Telemetry) -> None:
    group = ExceptionGroup("all failed", [NastyError(), ValueError("x")])  # type: ignore[name-defined,unused-ignore]  # noqa: F821
    with pytest.raises(ExceptionGroup) as caught, failover_run("chat", chain=CHAIN) as run, run.attempt(CHAIN[0]):  # type: ignore[name-defined,unused-ignore]  # noqa: F821
        raise group
    assert caught.value is group
    assert telemetry.candidates[0].status == "ERROR"


def test_misused_attempts_stop_nobody(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """Outside a run, entered twice, left twice, marked after the end, streamed with what is no stream."""
    with failover_run("chat", chain=CHAIN) as run:
        attempt = run.attempt(CHAIN[0])
        with attempt, attempt:
            assert attempt.stream(5) == 5
            assert list(attempt.stream([1, 2])) == [1, 2]
        attempt.__exit__(None, None, None)
        attempt.fail("late")
        assert list(attempt.stream([3])) == [3]
        run.attempt(CHAIN[1])
    run.__exit__(None, None, None)
    run.skip(CHAIN[0], reason="late")
    with run.attempt(CHAIN[0]):
        pass
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["success"]
    assert "outside its run" in caplog.text
    assert "entered twice" in caplog.text
    assert "after it had ended" in caplog.text


def test_an_attempt_before_its_run_stops_nobody(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    run = failover_run("chat", chain=CHAIN)
    with run.attempt(CHAIN[0]) as attempt:
        attempt.fail("x")
    assert not telemetry.spans
    assert "outside its run" in caplog.text


def test_a_stream_whose_iteration_fails_ends_the_attempt(telemetry: Telemetry) -> None:
    class Broken:
        def __iter__(self) -> Iterator[Any]:
            raise ValueError("no chunks")

    with failover_run("chat", chain=CHAIN) as run, pytest.raises(ValueError, match="no chunks"):  # noqa: SIM117
        with run.attempt(CHAIN[0]) as attempt:
            list(attempt.stream(Broken()))
    assert telemetry.candidates[0].status == "ERROR"


def test_the_decorator_keeps_the_kind_of_a_function(telemetry: Telemetry) -> None:
    """FastAPI asks inspect before it runs a dependency; a Generator is expected to have send and throw."""

    @failover_run("chat")
    def chunks() -> Iterator[int]:
        yield 1

    assert inspect.isgeneratorfunction(chunks)
    assert hasattr(type(chunks()), "throw")


def test_the_decorator_keeps_what_functools_wraps_keeps(telemetry: Telemetry) -> None:
    @failover_run("chat")
    async def ask(question: str, *, times: int = 1) -> str:
        """Ask."""
        return question * times

    assert inspect.iscoroutinefunction(ask)
    assert str(inspect.signature(ask)) == "(question: 'str', *, times: 'int' = 1) -> 'str'"
    assert (ask.__name__, ask.__doc__) == ("ask", "Ask.")
    assert asyncio.run(ask("a", times=2)) == "aa"


# --- a process of its own ---------------------------------------------------------------------------------------------

_PREAMBLE = """
    import logging, os, sys, traceback
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="LOG %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    from otel_failover.testing.providers import Answer, LocalProvider
    QUESTION = [{"role": "user", "content": "Hello?"}]
"""


def in_a_process(code: str, *, python: str = sys.executable, timeout: float = 20, **environment: str) -> str:
    """Run code in a fresh interpreter, without strict mode; return what it printed.

    Args:
        code: After a preamble that sets up logging and imports the local providers.
        python: The interpreter.
        timeout: In seconds; a process that hangs fails the test.
        environment: Further variables.
    """
    inherited: Mapping[str, str] = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    done = subprocess.run(
        [python, "-c", textwrap.dedent(_PREAMBLE) + textwrap.dedent(code)],
        env={**inherited, "PYTHONPATH": str(ROOT), "ANTHROPIC_OPEN_TELEMETRY_PROPAGATION": "false", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


_LOOP = """
    import operator, openai
    import otel_failover._core.spans.processor, otel_failover.integrations.patching
    from otel_failover import FailoverInstrumentor, failover_run, Candidate
    from otel_failover._core import failsafe
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import StatusCode
    tracer_provider = TracerProvider()
    tracer = tracer_provider.get_tracer("application")

    def boom(*args, **kwargs):
        raise RuntimeError("planted")

    def loop(provider):
        answers = Answer.error(401, "No"), Answer.ok("yes"), Answer.stream(2), Answer.stream(1, then="error")
        provider.program(*answers)
        found = []
        client = openai.OpenAI(base_url=provider.base_url, api_key="sk-local-0123456789", max_retries=0, timeout=5)
        with failover_run("chat", chain=["openai/m", Candidate("anthropic", "m")]) as run:
            for name in ("openai/m", "anthropic/m"):
                try:
                    with run.attempt(name) as attempt:
                        with tracer.start_as_current_span("mine") as span:
                            span.set_status(StatusCode.ERROR, "mine")
                        reply = client.chat.completions.create(model="m", messages=QUESTION)
                        attempt.fail("no thanks")
                        found.append(reply.choices[0].message.content)
                except openai.APIError as problem:
                    found.append((type(problem).__name__, str(problem)))
            run.skip("openai/m", reason="cooldown")
        for _ in range(2):
            try:
                for chunk in client.chat.completions.create(model="m", messages=QUESTION, stream=True):
                    found.append(chunk.choices[0].delta.content)
            except openai.APIError as problem:
                found.append((type(problem).__name__, str(problem)))
        client.close()
        return found

    with LocalProvider("openai") as provider:
        without = loop(provider)
        for place in PLACES:
            where, _, name = ("otel_failover." + place).rpartition(".")
            owner = operator.attrgetter(where.removeprefix("otel_failover."))(otel_failover)
            original = vars(owner)[name]
            failsafe.failures.clear()
            print("PLACE", place, flush=True)
            setattr(owner, name, boom)
            FailoverInstrumentor().instrument(tracer_provider=tracer_provider)
            same = loop(provider) == without and loop(provider) == without
            FailoverInstrumentor().uninstrument()
            setattr(owner, name, original)
            print("SAME", same, "COUNTED", sum(failsafe.failures.values()) > 0, flush=True)
"""
PLANTED = [
    "_core.evidence.exchange.Exchange.__init__",
    "_core.evidence.exchange.Exchange.answered",
    "_core.evidence.ledger.Ledger.add",
    "_core.evidence.ledger.Ledger.call_raised",
    "_core.runs.attempt.Attempt._settled",
    "_core.runs.attempt.Attempt._tell_error",
    "_core.runs.attempt.Attempt.trail",
    "_core.runs.attempt.Attempt._first_attributes",
    "_core.runs.attempt.from_error",
    "_core.spans.candidate_span.CandidateSpan.write",
    "_core.runs.run.Run._read_chain",
    "_core.runs.run.Run._next_step",
    "_core.runs.run.Run._outcome",
    "_core.runs.call.Call.open",
    "_core.runs.call.Call._settle",
    "_core.spans.processor.read_claim",
    "_core.config.runtime.redact",
    "_core.config.runtime.Runtime.attach",
    "integrations.patching.put_on",
]


@pytest.fixture(scope="module")
def planted() -> dict[str, str]:
    """What was printed with a failure planted in each place, one after the other."""
    printed = in_a_process(_LOOP.replace("PLACES", repr(PLANTED)), timeout=60)
    parts = printed.split("PLACE ")[1:]
    return {part.split("\n", 1)[0]: part for part in parts}


@pytest.mark.parametrize("place", PLANTED)
def test_a_failure_of_our_own_never_reaches_the_host(place: str, planted: dict[str, str]) -> None:
    """A bug anywhere in us: same results, counted, logged once per site with its traceback."""
    printed = planted[place]
    assert "SAME True COUNTED True" in printed
    sites = re.findall(r"otel-failover failed in (\S+)", printed)
    assert sites
    assert len(sites) == len(set(sites)), "logged once per site"
    assert "RuntimeError: planted" in printed


_AFTERWARDS = """
    import {module}
    from otel_failover import FailoverInstrumentor, failover_run
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, ConsoleSpanExporter
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider)
    def boom(*args, **kwargs):
        raise RuntimeError("planted")
    assert callable({module}.{place})
    {module}.{place} = boom
    with failover_run("chat", chain=["openai/m"]) as run:
        try:
            with run.attempt("openai/m") as attempt:
                raise ValueError("x")
        except ValueError:
            pass
    print("SPANS", sorted(span.name for span in exporter.get_finished_spans()))
"""


@pytest.mark.parametrize(
    "place",
    [
        "_core.runs.attempt.Attempt._tell_error",
        "_core.runs.attempt.Attempt._judged",
        "_core.runs.attempt.Attempt._settled",
        "_core.runs.run.Run._outcome",
    ],
)
def test_a_failure_of_our_own_loses_facts_but_no_spans(place: str) -> None:
    module, name = re.split(r"\.(?=[A-Z])", place, maxsplit=1)
    printed = in_a_process(_AFTERWARDS.format(module=f"otel_failover.{module}", place=name))
    assert "SPANS ['candidate openai', 'failover chat']" in printed


def test_a_broken_log_filter_of_the_host_stops_nobody() -> None:
    printed = in_a_process("""
        from otel_failover._core import failsafe
        logging.getLogger("otel_failover").addFilter(lambda record: 1 / 0)

        @failsafe.guarded(fallback=5)
        def fails():
            raise ValueError("x")

        print("GOT", fails())
    """)
    assert "GOT 5" in printed


def test_without_an_sdk_one_warning_and_the_host_goes_on() -> None:
    printed = in_a_process("""
        import openai
        from otel_failover import FailoverInstrumentor, failover_run
        FailoverInstrumentor().instrument()
        with LocalProvider("openai", Answer.error(401, "No")) as provider:
            client = openai.OpenAI(base_url=provider.base_url, api_key="k", max_retries=0)
            for _ in range(3):
                with failover_run("chat", chain=["openai/m"]) as run:
                    try:
                        with run.attempt("openai/m") as attempt:
                            client.chat.completions.create(model="m", messages=QUESTION)
                    except openai.AuthenticationError:
                        print("ERROR", attempt.error.status_code, attempt.error.message)
    """)
    assert printed.count("no OpenTelemetry SDK is configured") == 1
    assert printed.count("ERROR 401 No") == 3


@pytest.mark.parametrize(
    ("environment", "times"), [({}, 1), ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask, otel_failover"}, 0)]
)
def test_a_run_where_nothing_was_instrumented_says_so_once(environment: dict[str, Any], times: int) -> None:
    """Every reason is unknown then; silence is how instrumentation dies."""
    printed = in_a_process(
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from otel_failover import failover_run
        trace.set_tracer_provider(TracerProvider())
        for _ in range(3):
            with failover_run("chat", chain=["openai/m"]) as run:
                pass
        """,
        **environment,
    )
    assert printed.count("nothing is instrumented") == times


def test_a_disabled_sdk_is_respected() -> None:
    printed = in_a_process(
        """
        import openai
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor, ConsoleSpanExporter
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
        trace.set_tracer_provider(provider)
        from otel_failover import FailoverInstrumentor, failover_run
        from otel_failover._core import failsafe
        FailoverInstrumentor().instrument()
        with LocalProvider("openai", Answer.ok("yes")) as local:
            client = openai.OpenAI(base_url=local.base_url, api_key="k")
            with failover_run("chat", chain=["openai/m"]) as run, run.attempt("openai/m"):
                print("GOT", client.chat.completions.create(model="m", messages=QUESTION).choices[0].message.content)
        print("FAILURES", dict(failsafe.failures))
        """,
        OTEL_SDK_DISABLED="true",
    )
    assert "GOT yes" in printed
    assert "FAILURES {}" in printed
    assert "trace_id" not in printed


def test_a_provider_set_after_instrument_is_checked_all_the_same() -> None:
    printed = in_a_process("""
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from otel_failover import FailoverInstrumentor, failover_run
        FailoverInstrumentor().instrument()
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        with failover_run("chat", chain=["openai/m"]) as run, run.attempt("openai/m"):
            with trace.get_tracer("application").start_as_current_span("mine"):
                pass
        for span in exporter.get_finished_spans():
            print("SPAN", span.name, span.attributes.get("candidate.provider"))
    """)
    assert "SPAN mine openai" in printed
    assert "no OpenTelemetry SDK" not in printed


def test_a_stream_collected_while_metrics_are_read_blocks_nobody() -> None:
    """The collector runs anywhere, also inside a lock that the end of an attempt takes."""
    printed = in_a_process("""
        import faulthandler, gc
        from collections import Counter
        faulthandler.dump_traceback_later(4, exit=True)
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from otel_failover import FailoverInstrumentor, failover_run
        from otel_failover._core.config import runtime
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        FailoverInstrumentor().instrument(tracer_provider=TracerProvider(), meter_provider=provider)

        class Points(Counter):
            def items(self):
                gc.collect()
                return super().items()

        class Holder:
            pass

        def drop():
            holder = Holder()
            with failover_run("chat", chain=["openai/m"]) as run, run.attempt("openai/m") as attempt:
                holder.stream = attempt.stream(iter([1, 2]))
                next(holder.stream)
            holder.itself = holder

        gc.disable()
        runtime.current().metrics.attempts._points = Points()
        drop()
        reader.get_metrics_data()
        print("READ")
    """)
    assert "READ" in printed


class _Witness:
    """Stands in a frame; dies with it."""


def test_a_failure_after_the_attempt_has_ended_keeps_no_frames(telemetry: Telemetry) -> None:
    """Its caller gave up; what its thread raises later, a builtin error, is not kept with its frames."""
    go, done, seen = threading.Event(), threading.Event(), list[Any]()

    def late(_: httpx.Request) -> httpx.Response:
        witness = _Witness()
        seen.append(weakref.ref(witness))
        go.wait(20)
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
        assert done.wait(20)
        thread.join()
    gc.collect()
    assert telemetry.candidates[0]["candidate.index"] == 0
    assert run is not None
    assert seen[0]() is None
