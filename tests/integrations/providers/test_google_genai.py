"""google-genai: one call is one call, whatever it sends; its errors are bound to the wire; the host cannot tell."""

# ruff: noqa: SIM117 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import asyncio
import functools
import gc
import importlib.util
import inspect
import json
import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry import context as context_api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_current_span

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS, LoopError, Stand, stand
from tests.support.same import same_everywhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Exported, Telemetry

genai = pytest.importorskip("google.genai")
from google.genai import errors, types  # noqa: E402

TEXT = ["Hel", "lo ", "you"]
MODEL = "gemini-2.5-flash"
HAS_AIOHTTP = importlib.util.find_spec("aiohttp") is not None
NO_AIOHTTP = pytest.mark.skipif(not HAS_AIOHTTP, reason="aiohttp is not installed: the SDK sends by httpx")
WAYS = ["sync", pytest.param("aiohttp", marks=NO_AIOHTTP), "async httpx"]
every_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def gemini(stack: ExitStack, *answers: Answer, way: str = "sync", **options: Any) -> Stand:
    """Open a candidate with Google's own client; `way` says what an asynchronous one sends by."""
    if way == "async httpx":
        options["httpx_async_client"] = httpx.AsyncClient()
    return stack.enter_context(stand("gcp.gemini", *answers, kind="gemini", **options))


def ask(each: Stand, way: str, **options: Any) -> Any:
    """Ask as an application would; asynchronously in a loop of its own."""
    if way == "sync":
        return each.ask(**options)
    return asyncio.run(_aask(each, **options))


async def _aask(each: Stand, **options: Any) -> Any:
    try:
        return await each.aask(**options)
    finally:
        await each.aclose()


def read(each: Stand, way: str, after: Callable[[], Any] = lambda: None) -> list[Any]:
    """Read a stream to its end, looking at something after each chunk."""
    if way == "sync":
        return [(chunk, after())[0] for chunk in stream_of(each)]

    async def main() -> list[Any]:
        try:
            stream = await each.aclient.models.generate_content_stream(model=MODEL, contents="hello")
            return [(chunk, after())[0] async for chunk in stream]
        finally:
            await each.aclose()

    return asyncio.run(main())


def stream_of(each: Stand) -> Any:
    return each.client.models.generate_content_stream(model=MODEL, contents="hello")


def attempted(each: Stand, call: Callable[[], Any]) -> Any:
    """Make one declared attempt; return what came, or what was raised."""
    try:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            return call()
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


def only(telemetry: Telemetry) -> Exported:
    (span,) = telemetry.candidates
    return span


# --- the host cannot tell ---------------------------------------------------------------------------------------------


def _client(provider: LocalProvider, **options: Any) -> Any:
    http = types.HttpOptions(base_url=provider.base_url, timeout=30_000, **options)
    return genai.Client(api_key=KEYS["gcp.gemini"], http_options=http)


def _same(response: Any) -> Any:
    """What a host would look at; headers and ids are new with every request."""
    return type(response), response.model_dump(exclude={"sdk_http_response", "response_id"})


def _with_client(ask: Callable[[Any], Any]) -> Callable[[LocalProvider], Any]:
    @functools.wraps(ask)
    def call(provider: LocalProvider) -> Any:
        with _client(provider) as client:
            return ask(client)

    return call


@_with_client
def once(client: Any) -> Any:
    return _same(client.models.generate_content(model=MODEL, contents="Hello?"))


@_with_client
def streamed(client: Any) -> Any:
    stream = client.models.generate_content_stream(model=MODEL, contents="Hello?")
    return type(stream), stream.__name__, inspect.isgenerator(stream), [_same(chunk) for chunk in stream]


@_with_client
def closed_early(client: Any) -> Any:
    stream = client.models.generate_content_stream(model=MODEL, contents="Hello?")
    first = _same(next(stream))
    return first, stream.close(), next(stream, "end")


@_with_client
def chatting(client: Any) -> Any:
    chat = client.chats.create(model=MODEL)
    return [_same(chat.send_message(text)) for text in ("Hello?", "And you?")], len(chat.get_history())


@_with_client
def chatting_in_streams(client: Any) -> Any:
    chat = client.chats.create(model=MODEL)
    return [_same(chunk) for chunk in chat.send_message_stream("Hello?")], len(chat.get_history())


@_with_client
def embedding(client: Any) -> Any:
    found = client.models.embed_content(model="gemini-embedding-001", contents="Hello?")
    return type(found), [each.values for each in found.embeddings]


@_with_client
def counting(client: Any) -> Any:
    return client.models.count_tokens(model=MODEL, contents="Hello?").total_tokens


def _asynchronous(ask: Callable[[Any], Any]) -> Callable[[LocalProvider], Any]:
    @functools.wraps(ask)
    def call(provider: LocalProvider) -> Any:
        async def main() -> Any:
            client = _client(provider).aio
            try:
                return await ask(client)
            finally:
                await client.aclose()

        return asyncio.run(main())

    return call


@_asynchronous
async def asynchronously(client: Any) -> Any:
    return _same(await client.models.generate_content(model=MODEL, contents="Hello?"))


@_asynchronous
async def asynchronously_streamed(client: Any) -> Any:
    stream = await client.models.generate_content_stream(model=MODEL, contents="Hello?")
    return type(stream), stream.__name__, inspect.isasyncgen(stream), [_same(chunk) async for chunk in stream]


@_asynchronous
async def asynchronous_chat(client: Any) -> Any:
    chat = client.chats.create(model=MODEL)
    first = _same(await chat.send_message("Hello?"))
    return first, [_same(chunk) async for chunk in await chat.send_message_stream("And you?")]


CALLS = [
    once, streamed, closed_early, chatting, chatting_in_streams, embedding, counting, asynchronously,
    asynchronously_streamed, asynchronous_chat,
]  # fmt: skip


@pytest.mark.parametrize("answer", [Answer.ok("Hello there"), Answer.gemini_bad_key()], ids=lambda a: a.kind)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_way_of_calling_gives_the_same(
    call: Callable[[LocalProvider], Any], answer: Answer, switch_on: Callable[[], Any]
) -> None:
    without = same_everywhere(switch_on, call, "gemini", answer)
    assert ("raised" in without) == (answer.kind == "error"), without.get("raised")


def test_the_sdk_says_nothing_in_the_hosts_log_because_of_us(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """`response.text` logs a warning where a part is no text; we do not read it."""
    part = {"functionCall": {"name": "f", "args": {}}}
    body = {"candidates": [{"content": {"parts": [part], "role": "model"}}], "responseId": "r1"}
    each = gemini(stack, Answer.raw(200, json.dumps(body), content_type="application/json"))
    with caplog.at_level(logging.WARNING, "google_genai"):
        attempted(each, each.ask)
    assert caplog.records == []
    assert only(telemetry)["candidate.outcome"] == "success"


# --- one call ---------------------------------------------------------------------------------------------------------


@every_way
def test_a_call_has_one_span(telemetry: Telemetry, stack: ExitStack, way: str) -> None:
    each = gemini(stack, Answer.ok("Hello you", response_id="r1"), way=way)
    response = attempted(each, lambda: ask(each, way))
    assert response.text == "Hello you"
    span = only(telemetry)
    (call,) = telemetry.children(span)
    assert call.name == "generate_content gemini-2.5-flash"
    assert call["gen_ai.operation.name"] == "generate_content"
    assert call["gen_ai.provider.name"] == "gcp.gemini"
    assert (call["gen_ai.response.id"], call["gen_ai.response.model"]) == ("r1", MODEL)
    assert (call["gen_ai.usage.input_tokens"], call["gen_ai.usage.output_tokens"]) == (12, 2)
    assert (span["candidate.outcome"], span["failover.evidence"]) == ("success", "complete")
    assert (span["failover.wire.statuses"], span["http.response.status_code"]) == (["200"], 200)
    assert span.verdict == ("verified", None)


ERRORS: list[tuple[Answer, str, str]] = [
    (Answer.error(400, "Request contains an invalid argument", code="INVALID_ARGUMENT"), "invalid_request", "INVALID_ARGUMENT"),
    (Answer.gemini_bad_key(), "auth", "INVALID_ARGUMENT"),
    (
        Answer.error(400, "Schlüssel ungültig", details=[{"@type": "ErrorInfo", "reason": "API_KEY_INVALID"}]),
        "auth",
        "INVALID_ARGUMENT",
    ),
    (Answer.error(400, "User location is not supported", code="FAILED_PRECONDITION"), "permission", "FAILED_PRECONDITION"),
    (Answer.error(401, "Request had invalid credentials"), "auth", "UNAUTHENTICATED"),
    (Answer.error(403, "The caller does not have permission"), "permission", "PERMISSION_DENIED"),
    (Answer.gemini_not_found(), "model_not_found", "NOT_FOUND"),
    (Answer.gemini_quota(), "rate_limit", "RESOURCE_EXHAUSTED"),
    (Answer.error(500, "An internal error has occurred"), "server_error", "INTERNAL"),
    (Answer.gemini_overloaded(), "overloaded", "UNAVAILABLE"),
    (Answer.error(504, "Deadline expired"), "timeout", "DEADLINE_EXCEEDED"),
]  # fmt: skip


@every_way
@pytest.mark.parametrize("streaming", [False, True], ids=["once", "stream"])
@pytest.mark.parametrize(("answer", "reason", "code"), ERRORS, ids=lambda value: str(getattr(value, "status", value)))
def test_an_error_is_bound_to_its_answer(
    telemetry: Telemetry, stack: ExitStack, answer: Answer, reason: str, code: str, way: str, streaming: bool
) -> None:
    each = gemini(stack, answer, way=way)
    problem = attempted(each, lambda: (read if streaming else ask)(each, way))
    assert isinstance(problem, errors.APIError)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.code"]) == (reason, code)
    assert (span["http.response.status_code"], span["failover.error.origin"]) == (answer.status, "response")
    assert (span["candidate.outcome"], span["failover.evidence"]) == ("error", "complete")
    assert span["failover.retry_after"] == answer.retry_after
    assert span.description == answer.message
    assert span.verdict == ("verified", None)
    (call,) = telemetry.children(span)
    assert call["error.type"] == f"google.genai.errors.{type(problem).__name__}"
    assert telemetry.markers == []


@every_way
@pytest.mark.parametrize("streaming", [False, True], ids=["once", "stream"])
def test_a_timeout_is_a_timeout(telemetry: Telemetry, stack: ExitStack, way: str, streaming: bool) -> None:
    each = gemini(stack, Answer.hang(), way=way, timeout=0.2)
    attempted(each, lambda: (read if streaming else ask)(each, way))
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.origin"]) == ("timeout", "transport")
    assert span["failover.timeout.kind"] == ("total" if way == "aiohttp" else "read")
    assert span["failover.timeout.configured"] == 0.2
    assert span["http.response.status_code"] is None
    assert span.verdict == ("verified", None)


@every_way
@pytest.mark.parametrize("streaming", [False, True], ids=["once", "stream"])
def test_a_reset_is_a_connection_error(telemetry: Telemetry, stack: ExitStack, way: str, streaming: bool) -> None:
    each = gemini(stack, Answer.reset(), way=way)
    attempted(each, lambda: (read if streaming else ask)(each, way))
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.origin"]) == ("connection", "transport")
    assert set(span["failover.wire.statuses"]) == {"-"}
    assert span.verdict == ("verified", None)


@every_way
def test_retries_of_the_sdk_are_one_call(telemetry: Telemetry, stack: ExitStack, way: str) -> None:
    each = gemini(stack, Answer.gemini_overloaded(), Answer.gemini_quota(), Answer.ok(), way=way, retries=2)
    attempted(each, lambda: ask(each, way))
    span = only(telemetry)
    assert len(telemetry.children(span)) == 1
    assert span["failover.wire.statuses"] == ["503", "429", "200"]
    assert (span["candidate.outcome"], span.verdict) == ("success", ("verified", None))


@every_way
def test_the_last_retry_is_what_an_attempt_failed_with(telemetry: Telemetry, stack: ExitStack, way: str) -> None:
    each = gemini(stack, Answer.gemini_quota(), Answer.gemini_overloaded(), way=way, retries=1)
    attempted(each, lambda: ask(each, way))
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.wire.statuses"]) == ("overloaded", ["429", "503"])
    assert span.verdict == ("verified", None)


@NO_AIOHTTP
def test_the_retry_that_the_sdk_makes_by_itself_is_part_of_the_call(
    telemetry: Telemetry, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without retry options it asks again, after some seconds, where aiohttp had no connection."""
    monkeypatch.setattr("random.randint", lambda *_: -1)  # its wait is 1 + randint(0, 9) seconds
    each = gemini(stack, Answer.reset(), Answer.ok(), way="aiohttp", retry_options=None)
    attempted(each, lambda: ask(each, "aiohttp"))
    span = only(telemetry)
    assert len(telemetry.children(span)) == 1
    assert (span["candidate.outcome"], span["failover.wire.statuses"]) == ("success", ["-", "200"])
    assert span.verdict == ("verified", None)


@pytest.mark.parametrize("body", [{"promptFeedback": {"blockReason": "SAFETY"}}, {"candidates": []}, {}], ids=str)
@every_way
def test_a_blocked_or_empty_answer_is_an_answer(
    telemetry: Telemetry, stack: ExitStack, body: dict[str, Any], way: str
) -> None:
    each = gemini(stack, Answer.raw(200, json.dumps(body), content_type="application/json"), way=way)
    attempted(each, lambda: ask(each, way))
    span = only(telemetry)
    assert (span["candidate.outcome"], span["http.response.status_code"]) == ("success", 200)
    assert span.verdict == ("verified", None)


def test_an_answer_that_the_loop_would_not_take_is_rejected(telemetry: Telemetry, stack: ExitStack) -> None:
    each = gemini(stack, Answer.raw(200, '{"candidates": []}', content_type="application/json"))
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate) as attempt:
        if not each.ask().candidates:
            attempt.reject("empty")
    assert only(telemetry)["candidate.outcome"] == "rejected"


def test_embeddings_are_embeddings(telemetry: Telemetry, stack: ExitStack) -> None:
    each = gemini(stack, Answer.ok(), model="gemini-embedding-001")
    attempted(each, lambda: each.client.models.embed_content(model="gemini-embedding-001", contents="hello"))
    (call,) = telemetry.children(only(telemetry))
    assert call.name == "embeddings gemini-embedding-001"
    assert call["gen_ai.operation.name"] == "embeddings"


@pytest.mark.parametrize("way", ["sync", "async httpx"])
def test_what_is_no_inference_settles_nothing(telemetry: Telemetry, stack: ExitStack, way: str) -> None:
    """Counting fails, the call that follows serves."""
    each = gemini(stack, Answer.gemini_quota(), Answer.ok(), way=way)

    def both() -> None:
        with pytest.raises(errors.ClientError):
            each.client.models.count_tokens(model=MODEL, contents="hello")
        ask(each, way)

    attempted(each, both)
    span = only(telemetry)
    assert (span["candidate.outcome"], span["failover.wire.statuses"]) == ("success", ["200"])
    assert len(telemetry.children(span)) == 1


@pytest.mark.parametrize("way", ["sync", "aiohttp" if HAS_AIOHTTP else "async httpx"])
def test_functions_that_the_sdk_calls_are_inside_the_call(telemetry: Telemetry, stack: ExitStack, way: str) -> None:
    """Automatic function calling asks twice: one call, and what the function fetches settles nothing."""
    other = stack.enter_context(LocalProvider("openai", Answer.openai_quota()))

    def weather(place: str) -> str:
        """Tell the weather."""
        return f"{place}: {httpx.post(other.base_url + '/chat/completions', json={}).status_code}"

    part = {"functionCall": {"name": "weather", "args": {"place": "Bonn"}}}
    body = {"candidates": [{"content": {"parts": [part], "role": "model"}}], "responseId": "r1"}
    wanted = Answer.raw(200, json.dumps(body), content_type="application/json")
    each = gemini(stack, wanted, Answer.ok("rain"), way=way)
    config = types.GenerateContentConfig(tools=[weather])
    assert attempted(each, lambda: ask(each, way, config=config)).text == "rain"
    span = only(telemetry)
    assert len(telemetry.children(span)) == 1
    assert (span["failover.wire.statuses"], span["candidate.outcome"]) == (["200", "200"], "success")
    assert span.verdict == ("verified", None)


def test_a_base_url_of_the_call_is_where_it_goes(telemetry: Telemetry, stack: ExitStack) -> None:
    other = stack.enter_context(LocalProvider("gemini", Answer.gemini_overloaded()))
    each = gemini(stack, Answer.ok())
    config = {"http_options": {"base_url": other.base_url}}
    with pytest.raises(errors.ServerError), failover_run("chat"):
        each.ask(config=config)
    assert only(telemetry)["candidate.endpoint"] == other.endpoint


@pytest.mark.parametrize(
    ("options", "provider"),
    [
        ({"api_key": "k"}, "gcp.gemini"),
        ({"api_key": "k", "vertexai": True}, "gcp.vertex_ai"),
        ({"vertexai": True, "project": "p", "location": "europe-west4"}, "gcp.vertex_ai"),
        ({"vertexai": True, "project": "p", "location": "us"}, "gcp.vertex_ai"),
    ],
    ids=str,
)
def test_the_provider_is_read_from_where_a_client_sends(
    telemetry: Telemetry, options: dict[str, Any], provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.auth.credentials import AnonymousCredentials

    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):  # nobody listens there: nothing leaves this machine
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    if "project" in options:
        options = {**options, "credentials": AnonymousCredentials()}  # type: ignore[no-untyped-call]
    client = genai.Client(**options, http_options={"retry_options": {"attempts": 1}})
    with pytest.raises(Exception, match=r"refused|refreshed"), failover_run("chat"):
        client.models.generate_content(model=MODEL, contents="hello")
    assert only(telemetry)["candidate.provider"] == provider


# --- streams ----------------------------------------------------------------------------------------------------------


def nothing_current() -> None:
    assert not get_current_span().get_span_context().is_valid
    assert context_api.get_current() == {}


@every_way
def test_a_stream_is_consumed(telemetry: Telemetry, stack: ExitStack, way: str) -> None:
    each = gemini(stack, Answer.stream(TEXT), way=way)
    chunks = attempted(each, lambda: read(each, way))
    assert "".join(chunk.text or "" for chunk in chunks) == "".join(TEXT)
    span = only(telemetry)
    (call,) = telemetry.children(span)
    assert call["gen_ai.response.id"] == each.server.log[0].response_id
    assert (span["candidate.outcome"], span["failover.evidence"]) == ("success", "complete")
    assert span.verdict == ("verified", None)


@pytest.mark.parametrize("chat", [False, True], ids=["models", "chat"])
def test_a_stream_is_read_out_of_the_with_that_made_it(telemetry: Telemetry, stack: ExitStack, chat: bool) -> None:
    """Its request goes out at the first step only, and is the attempt's that made it; nothing is current in between."""
    each = gemini(stack, Answer.stream(TEXT))
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
        stream = each.client.chats.create(model=MODEL).send_message_stream("hi") if chat else stream_of(each)
    assert telemetry.spans == []
    assert each.server.log == []
    nothing_current()
    for _ in stream:
        nothing_current()
    span = only(telemetry)
    assert len(telemetry.children(span)) == 1
    assert (span["candidate.outcome"], span["failover.wire.statuses"]) == ("success", ["200"])
    assert telemetry.run["failover.outcome"] == "primary"
    assert telemetry.run.end >= span.end


def test_a_stream_that_is_closed_after_its_run_ends_the_run_there(telemetry: Telemetry, stack: ExitStack) -> None:
    """Whoever closes it is done with it: the spans wait for no other step of ours."""
    each = gemini(stack, Answer.stream(["Hel", "lo"]))
    with failover_run():
        stream = stream_of(each)
    assert next(stream).text == "Hel"
    stream.close()
    assert telemetry.run["failover.outcome"] == "primary"


def test_an_async_stream_that_is_closed_after_its_run_ends_the_run_there(
    telemetry: Telemetry, stack: ExitStack
) -> None:
    each = gemini(stack, Answer.stream(["Hel", "lo"]))

    async def ask() -> None:
        with failover_run():
            stream = await each.aclient.models.generate_content_stream(model=MODEL, contents="hello")
        assert (await anext(stream)).text == "Hel"
        await stream.aclose()

    asyncio.run(ask())
    assert telemetry.run["failover.outcome"] == "primary"


@pytest.mark.parametrize("chat", [False, True], ids=["models", "chat"])
@pytest.mark.parametrize("way", WAYS[1:])
def test_an_async_stream_is_read_out_of_the_with_that_made_it(
    telemetry: Telemetry, stack: ExitStack, way: str, chat: bool
) -> None:
    each = gemini(stack, Answer.stream(TEXT), way=way)

    async def main() -> None:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            if chat:
                stream = await each.aclient.chats.create(model=MODEL).send_message_stream("hi")
            else:
                stream = await each.aclient.models.generate_content_stream(model=MODEL, contents="hi")
        assert telemetry.spans == []
        async for _ in stream:
            nothing_current()
        await each.aclose()

    asyncio.run(main())
    span = only(telemetry)
    assert len(telemetry.children(span)) == 1
    assert (span["candidate.outcome"], span["failover.wire.statuses"]) == ("success", ["200"])


EVENTS = [("RESOURCE_EXHAUSTED", "rate_limit"), ("UNAVAILABLE", "overloaded"), ("MADE_UP", "overloaded")]


@every_way
@pytest.mark.parametrize(("code", "reason"), EVENTS, ids=str)
def test_an_error_event_in_a_stream_is_the_providers(
    telemetry: Telemetry, stack: ExitStack, way: str, code: str, reason: str
) -> None:
    message = "Something gave way on our side of the stream"
    each = gemini(stack, Answer.stream(TEXT, then="error", code=code, message=message), way=way)
    problem = attempted(each, lambda: read(each, way))
    assert isinstance(problem, errors.ServerError)
    span = only(telemetry)
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("partial", reason)
    assert (span["failover.error.code"], span["failover.error.origin"]) == (code, "response")
    assert (span["http.response.status_code"], span.description) == (200, message)
    assert span.verdict == ("verified", None)


@every_way
@pytest.mark.parametrize("then", ["cut", "truncate"])
def test_a_stream_that_breaks_off_is_partial(telemetry: Telemetry, stack: ExitStack, way: str, then: Any) -> None:
    each = gemini(stack, Answer.stream(TEXT, then=then), way=way)
    assert isinstance(attempted(each, lambda: read(each, way)), Exception)
    span = only(telemetry)
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("partial", "partial_stream")
    assert span["failover.error.origin"] == "transport"
    assert span.verdict == ("verified", None)


@every_way
def test_a_stream_that_falls_silent_times_out(telemetry: Telemetry, stack: ExitStack, way: str) -> None:
    each = gemini(stack, Answer.stream(TEXT, then="hang"), way=way, timeout=0.3)
    attempted(each, lambda: read(each, way))
    span = only(telemetry)
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("partial", "timeout")
    assert span.verdict == ("verified", None)


def test_an_error_event_before_any_output_is_no_partial(telemetry: Telemetry, stack: ExitStack) -> None:
    each = gemini(stack, Answer.stream([], then="error", code="UNAVAILABLE", message="The model is overloaded"))
    attempted(each, lambda: read(each, "sync"))
    span = only(telemetry)
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("error", "overloaded")


@pytest.mark.parametrize("how", ["close", "break and drop", "drop"])
def test_a_stream_that_its_consumer_leaves_served(telemetry: Telemetry, stack: ExitStack, how: str) -> None:
    each = gemini(stack, Answer.stream(TEXT, drip=0.01))
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
        stream = stream_of(each)
    next(stream)
    assert telemetry.candidates == []
    if how == "close":
        stream.close()
    elif how == "break and drop":
        for _ in stream:
            break
    del stream
    gc.collect()
    span = only(telemetry)
    assert (span["candidate.outcome"], span["http.response.status_code"]) == ("success", 200)
    assert telemetry.run["failover.outcome"] == "primary"


def test_a_stream_that_nobody_starts_was_sent_to_nobody(telemetry: Telemetry, stack: ExitStack) -> None:
    each = gemini(stack, Answer.stream(TEXT))
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
        stream = stream_of(each)
    del stream
    gc.collect()
    span = only(telemetry)
    assert each.server.log == []
    assert span["failover.wire.requests"] in (None, 0)
    assert (span["failover.evidence"], span["failover.evidence_gap"]) == ("partial", "stream_not_started")


@pytest.mark.parametrize("way", WAYS[1:])
@pytest.mark.parametrize("how", ["aclose", "drop"])
def test_an_async_stream_that_its_consumer_leaves_served(
    telemetry: Telemetry, stack: ExitStack, way: str, how: str
) -> None:
    each = gemini(stack, Answer.stream(TEXT, drip=0.01), way=way)

    async def main() -> None:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            stream = await each.aclient.models.generate_content_stream(model=MODEL, contents="hi")
        async for _ in stream:
            break
        if how == "aclose":
            await stream.aclose()
        del stream
        for _ in range(3):  # asynchronous generators are closed by tasks, one inside the other
            await asyncio.sleep(0.01)
            gc.collect()
        await each.aclose()

    asyncio.run(main())
    span = only(telemetry)
    assert (span["candidate.outcome"], span["http.response.status_code"]) == ("success", 200)


@pytest.mark.parametrize("way", WAYS[1:])
def test_a_cancelled_call_is_cancelled(telemetry: Telemetry, stack: ExitStack, way: str) -> None:
    each = gemini(stack, Answer.hang(), way=way)

    async def ask_for_ever() -> None:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            await each.aask()

    async def main() -> None:
        task = asyncio.create_task(ask_for_ever())
        while not each.server.log:  # noqa: ASYNC110 - the server has no event of this loop
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await each.aclose()

    asyncio.run(main())
    span = only(telemetry)
    assert (span["candidate.outcome"], span["failover.killed_by"]) == ("cancelled", "user")


# --- loops ------------------------------------------------------------------------------------------------------------


def chain_of(stack: ExitStack, *answers: Answer, way: str = "sync") -> list[Stand]:
    """OpenAI, Gemini, Anthropic: each asked by its own SDK."""
    first, second, third = answers
    return [
        stack.enter_context(stand("openai", first)),
        gemini(stack, second, way=way, timeout=0.3),
        stack.enter_context(stand("anthropic", third)),
    ]


async def _walk(stands: list[Stand]) -> None:
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            try:
                with run.attempt(each.candidate):
                    await each.aask()
            except Exception:  # noqa: S112, BLE001 - the loop goes on
                continue
            break
    for each in stands:
        await each.aclose()


def walk(stands: list[Stand], way: str) -> None:
    """A loop by hand, as people write it."""
    if way != "sync":
        asyncio.run(_walk(stands))
        return
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            try:
                with run.attempt(each.candidate):
                    each.ask()
            except Exception:  # noqa: S112, BLE001 - the loop goes on
                continue
            break


@every_way
@pytest.mark.parametrize(
    ("answer", "reason"),
    [(Answer.gemini_quota(), "rate_limit"), (Answer.gemini_overloaded(), "overloaded"), (Answer.hang(), "timeout")],
    ids=["429", "503", "hang"],
)
def test_a_chain_of_three_is_told_as_it_was(
    telemetry: Telemetry, stack: ExitStack, way: str, answer: Answer, reason: str
) -> None:
    """Gemini's quota text begins as OpenAI's does, and is its own."""
    walk(chain_of(stack, Answer.openai_quota(), answer, Answer.ok(), way=way), way)
    first, second, third = telemetry.candidates
    assert [span["candidate.provider"] for span in (first, second, third)] == ["openai", "gcp.gemini", "anthropic"]
    assert [span["failover.reason.code"] for span in (first, second, third)] == ["billing", reason, None]
    assert {span.verdict for span in (first, second, third)} == {("verified", None)}
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.markers == []


def new(stale: Any, own: Exception) -> Exception:
    return LoopError(str(stale))


def new_from_own(stale: Any, own: Exception) -> Exception:
    problem = LoopError(f"Gemini failed: {stale}")
    problem.__cause__ = own
    return problem


def old_object(stale: Any, own: Exception) -> Exception:
    return stale  # type: ignore[no-any-return]


def as_geminis(stale: Any, own: Exception) -> Exception:
    """Put into the SDK's own class, as a shared handler would."""
    said = {"code": 429, "message": stale.body["message"], "status": "RESOURCE_EXHAUSTED"}
    return errors.ClientError(429, {"error": said})


def with_its_response(stale: Any, own: Exception) -> Exception:
    return LoopError("failed", response=stale.response)


@every_way
@pytest.mark.parametrize("theft", [new, new_from_own, old_object, as_geminis, with_its_response])
@pytest.mark.parametrize("answer", [Answer.hang(), Answer.gemini_overloaded()], ids=["hang", "503"])
def test_openais_error_reported_for_gemini_is_pinned_on_openai(
    telemetry: Telemetry, stack: ExitStack, way: str, theft: Callable[[Any, Exception], Exception], answer: Answer
) -> None:
    first, second, _ = chain_of(stack, Answer.openai_quota(), answer, Answer.ok(), way=way)
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(Exception) as stale, run.attempt(first.candidate):  # noqa: PT011 - the SDK's own
            first.ask()
        with pytest.raises(Exception), run.attempt(second.candidate):  # noqa: B017, PT011
            try:
                ask(second, way)
            except Exception as own:  # noqa: BLE001 - that is the incident
                raise theft(stale.value, own) from None
    honest, stolen = telemetry.candidates
    assert honest.verdict == ("verified", None)
    assert stolen.verdict == ("mismatch", "stale_error")
    assert stolen["failover.attribution.source.provider"] == "openai"
    assert stolen["failover.reason.code"] == ("timeout" if answer.kind == "hang" else "overloaded")
    assert "current quota" not in stolen.description


def _break(each: Stand, way: str, instead: Callable[[Exception], Exception]) -> None:
    """Let a client raise something else inside the SDK's own call, whenever its request fails."""
    api: Any = each.client._api_client
    if way == "sync":
        request = api.request

        def broken(*args: Any, **kwargs: Any) -> Any:
            try:
                return request(*args, **kwargs)
            except Exception as own:  # noqa: BLE001 - whatever it is
                raise instead(own) from None

        api.request = broken
        return
    api = each.aclient._api_client
    arequest = api.async_request

    async def abroken(*args: Any, **kwargs: Any) -> Any:
        try:
            return await arequest(*args, **kwargs)
        except Exception as own:  # noqa: BLE001 - whatever it is
            raise instead(own) from None

    api.async_request = abroken


@every_way
@pytest.mark.parametrize("answer", [Answer.hang(), Answer.gemini_overloaded()], ids=["hang", "503"])
def test_openais_error_raised_inside_geminis_own_call_is_pinned_on_openai(
    telemetry: Telemetry, stack: ExitStack, way: str, answer: Answer
) -> None:
    """A breaker that clients share raises its last error from within the SDK: what the wire said is Gemini's."""
    first, second, _ = chain_of(stack, Answer.openai_quota(), answer, Answer.ok(), way=way)
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(Exception) as stale, run.attempt(first.candidate):  # noqa: PT011 - the SDK's own
            first.ask()
        _break(second, way, lambda _: stale.value)
        with pytest.raises(type(stale.value)), run.attempt(second.candidate):
            ask(second, way)
    _, stolen = telemetry.candidates
    assert stolen.verdict == ("mismatch", "stale_error")
    assert stolen["failover.attribution.source.provider"] == "openai"
    reason = "timeout" if answer.kind == "hang" else "overloaded"
    assert stolen["failover.reason.code"] == reason
    (call,) = telemetry.starting("generate_content")
    assert call["error.type"] == reason
    assert "openai" not in call.description


@every_way
def test_openais_words_raised_anew_inside_geminis_own_call_are_pinned_on_openai(
    telemetry: Telemetry, stack: ExitStack, way: str
) -> None:
    first, second, _ = chain_of(stack, Answer.openai_quota(), Answer.hang(), Answer.ok(), way=way)
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(Exception) as stale, run.attempt(first.candidate):  # noqa: PT011 - the SDK's own
            first.ask()
        _break(second, way, lambda _: LoopError(str(stale.value), status_code=429))
        with pytest.raises(LoopError), run.attempt(second.candidate):
            ask(second, way)
    assert telemetry.candidates[1].verdict == ("mismatch", "stale_error")
    assert telemetry.candidates[1]["failover.attribution.source.provider"] == "openai"


def test_openais_error_of_an_earlier_run_raised_inside_geminis_own_call(telemetry: Telemetry, stack: ExitStack) -> None:
    """Most breakers open in one request and tell in the next."""
    first, second, _ = chain_of(stack, Answer.openai_quota(), Answer.hang(), Answer.ok())
    with failover_run("chat", chain=[first.candidate]) as run:
        with pytest.raises(Exception) as stale, run.attempt(first.candidate):  # noqa: PT011 - the SDK's own
            first.ask()
    telemetry.clear()
    _break(second, "sync", lambda _: stale.value)
    with failover_run("chat", chain=[second.candidate]) as run:
        with pytest.raises(type(stale.value)), run.attempt(second.candidate):
            second.ask()
    assert only(telemetry).verdict == ("mismatch", "stale_error")


def test_openais_error_raised_after_geminis_good_answer(telemetry: Telemetry, stack: ExitStack) -> None:
    """Nothing of it stands on Gemini's span, which was answered."""
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = gemini(stack, Answer.ok())
    api: Any = second.client._api_client
    request = api.request
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(Exception) as stale, run.attempt(first.candidate):  # noqa: PT011 - the SDK's own
            first.ask()

        def broken(*args: Any, **kwargs: Any) -> Any:
            request(*args, **kwargs)
            raise stale.value

        api.request = broken
        with pytest.raises(type(stale.value)), run.attempt(second.candidate):
            second.ask()
    stolen = telemetry.candidates[1]
    assert stolen.verdict == ("mismatch", "stale_error")
    assert stolen["http.response.status_code"] in (None, 200)
    assert not any("current quota" in str(event) for event in stolen.events)


@every_way
def test_one_constant_raised_for_each_own_failure_blames_nobody(
    telemetry: Telemetry, stack: ExitStack, way: str
) -> None:
    """An application's middleware says one thing whenever a provider fails; it says nothing of any provider."""
    constant = LoopError("the model did not answer in time")
    pair = [gemini(stack, answer, way=way) for answer in (Answer.gemini_overloaded(), Answer.gemini_quota())]
    for each in pair:
        _break(each, way, lambda _: constant)
    with failover_run("chat", chain=[each.candidate for each in pair]) as run:
        for each in pair:
            with pytest.raises(LoopError), run.attempt(each.candidate):
                ask(each, way)
    assert {span.verdict[0] for span in telemetry.candidates} <= {"verified", "unverified"}
    assert [span["failover.reason.code"] for span in telemetry.candidates] == ["overloaded", "rate_limit"]
    assert telemetry.markers == []


@every_way
def test_one_exception_raised_twice_is_own_where_the_wire_says_nothing_else(
    telemetry: Telemetry, stack: ExitStack, way: str
) -> None:
    """A breaker's constant, raised before anything is sent; or the same error of the same candidate, tried again."""
    constant = RuntimeError("the circuit is open")
    first, second = (gemini(stack, Answer.gemini_overloaded(), way=way) for _ in range(2))
    for each in (first, second):
        api: Any = each.client._api_client if way == "sync" else each.aclient._api_client

        def broken(*_: Any, **__: Any) -> Any:
            raise constant

        api.request = api.async_request = broken
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        for each in (first, second):
            with pytest.raises(RuntimeError), run.attempt(each.candidate):
                ask(each, way)
    assert {span.verdict[0] for span in telemetry.candidates} <= {"verified", "unverified"}
    assert telemetry.markers == []


def test_one_exception_of_a_transport_is_the_own_one_of_each_who_meets_it(
    telemetry: Telemetry, stack: ExitStack
) -> None:
    constant = httpx.ConnectError("no route")

    def refuse(_: httpx.Request) -> httpx.Response:
        raise constant

    stands = [gemini(stack, client_args={"transport": httpx.MockTransport(refuse)}) for _ in range(2)]
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            with pytest.raises(httpx.ConnectError), run.attempt(each.candidate):
                each.ask()
    assert [span.verdict for span in telemetry.candidates] == [("verified", None)] * 2
    assert [span["failover.reason.code"] for span in telemetry.candidates] == ["connection"] * 2


def geminis_text(stale: Any) -> Exception:
    return LoopError(stale.message, provider="anthropic")


def geminis_whole(stale: Any) -> Exception:
    return LoopError(str(stale))


def geminis_object(stale: Any) -> Exception:
    return stale  # type: ignore[no-any-return]


def geminis_response(stale: Any) -> Exception:
    return LoopError("failed", response=stale.response)


def geminis_facts(stale: Any) -> Exception:
    return LoopError("failed", code=stale.status, status_code=stale.code)


@every_way
@pytest.mark.parametrize("theft", [geminis_text, geminis_whole, geminis_object, geminis_response, geminis_facts])
def test_geminis_error_reported_for_anthropic_is_pinned_on_gemini(
    telemetry: Telemetry, stack: ExitStack, way: str, theft: Callable[[Any], Exception]
) -> None:
    first = gemini(stack, Answer.gemini_quota(), way=way)
    second = stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.15))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(errors.ClientError) as stale, run.attempt(first.candidate):
            ask(first, way)
        with pytest.raises(Exception), run.attempt(second.candidate):  # noqa: B017, PT011
            try:
                second.ask()
            except Exception:  # noqa: BLE001 - that is the incident
                raise theft(stale.value) from None
    honest, stolen = telemetry.candidates
    assert honest.verdict == ("verified", None)
    assert stolen.verdict == ("mismatch", "stale_error")
    assert stolen["failover.attribution.source.provider"] == "gcp.gemini"
    assert stolen["failover.reason.code"] == "timeout"


@every_way
def test_a_bare_call_in_a_run_is_an_attempt(telemetry: Telemetry, stack: ExitStack, way: str) -> None:
    each = gemini(stack, Answer.gemini_overloaded(), way=way)
    with pytest.raises(errors.ServerError), failover_run("chat", chain=[each.candidate]):
        ask(each, way)
    span = only(telemetry)
    assert (span["candidate.provider"], span["failover.reason.code"]) == ("gcp.gemini", "overloaded")
    assert telemetry.run["failover.outcome"] == "exhausted"


def test_a_bare_stream_in_a_run_is_an_attempt(telemetry: Telemetry, stack: ExitStack) -> None:
    each = gemini(stack, Answer.stream(TEXT))
    with failover_run("chat", chain=[each.candidate]):
        assert len(list(stream_of(each))) > len(TEXT) - 1
    assert only(telemetry)["candidate.outcome"] == "success"
    assert telemetry.run["failover.outcome"] == "primary"


def test_two_keys_of_one_model_are_two_candidates(telemetry: Telemetry, stack: ExitStack) -> None:
    """They differ by nothing but the client's key, which is compared and never leaves."""
    server = stack.enter_context(LocalProvider("gemini", Answer.gemini_quota(), Answer.gemini_quota(), Answer.ok()))
    keys = ("AIzaQw3eRt5yUi7oPa9sDf2g", "AIzaZz9xXc8vVb7nNm6mKk5j")
    options = types.HttpOptions(base_url=server.base_url)
    clients = [genai.Client(api_key=key, http_options=options) for key in keys]
    chain = [Candidate("gemini", MODEL, server.endpoint, profile) for profile in ("a", "b")]
    with failover_run("chat", chain=chain):
        for client in (clients[0], clients[0], clients[1]):
            try:
                client.models.generate_content(model=MODEL, contents="hello")
            except errors.ClientError:
                continue
    assert [span["candidate.profile"] for span in telemetry.candidates] == ["a", "a", "b"]
    assert [span["candidate.attempt"] for span in telemetry.candidates] == [1, 2, 1]
    for key in keys:
        assert not any(key.encode() in raw for raw in telemetry.exporter.raw)


@every_way
def test_a_key_that_the_provider_repeats_does_not_leave(
    telemetry: Telemetry, stack: ExitStack, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor one of no known format, that only the request tells."""
    caplog.set_level(logging.DEBUG, "otel_failover")
    key = "zz-plain-91xk20qmv7"
    each = gemini(stack, Answer.error(403, f"The key {key} may not do this"), way=way, key=key)
    attempted(each, lambda: ask(each, way))
    assert only(telemetry)["failover.reason.code"] == "permission"
    assert not any(key.encode() in raw for raw in telemetry.exporter.raw)
    assert key not in caplog.text


# --- others -----------------------------------------------------------------------------------------------------------

OTHERS = [
    ("opentelemetry.instrumentation.google_genai", "GoogleGenAiSdkInstrumentor"),
    ("opentelemetry.instrumentation.google_generativeai", "GoogleGenerativeAiInstrumentor"),
    ("openinference.instrumentation.google_genai", "GoogleGenAIInstrumentor"),
]


@pytest.fixture
def restored() -> Iterator[None]:
    """Put back what others leave behind: one takes a bound copy of what it finds, and leaves that when it goes."""
    from google.genai._api_client import BaseApiClient
    from google.genai.models import AsyncModels, Models

    found = [(cls, name, before) for cls in (BaseApiClient, Models, AsyncModels) for name, before in vars(cls).items()]
    yield
    for cls, name, before in found:
        if vars(cls)[name] is not before:
            setattr(cls, name, before)


@pytest.mark.usefixtures("restored")
@every_way
@pytest.mark.parametrize("streaming", [False, True], ids=["once", "stream"])
@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize(("module", "name"), OTHERS, ids=[module for module, _ in OTHERS])
def test_beside_another_instrumentation_there_is_one_span_of_the_call(
    switch_on: Callable[[], Telemetry],
    stack: ExitStack,
    module: str,
    name: str,
    first: str,
    way: str,
    streaming: bool,
) -> None:
    instrumentor = getattr(pytest.importorskip(module), name)()
    if first == "ours":
        switch_on()
    instrumentor.instrument(tracer_provider=TracerProvider(), skip_dep_check=True)
    stack.callback(instrumentor.uninstrument)
    telemetry = switch_on()
    each = gemini(stack, Answer.gemini_quota(), way=way)
    problem = attempted(each, lambda: (read if streaming else ask)(each, way))
    assert isinstance(problem, errors.ClientError)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["http.response.status_code"]) == ("rate_limit", 429)
    assert span.verdict == ("verified", None)
    assert telemetry.starting("generate_content") == []
    assert telemetry.markers == []
