"""Endpoints of litellm's routers beside chat: who was asked there, and how long a stream of theirs keeps its run open."""

from __future__ import annotations

import asyncio
import gc
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

pytest.importorskip("litellm")

from otel_failover.testing.providers import Answer
from tests.integrations.loops.litellm.bench import NATIVE, VERSION, Bench, clear_clients, settle
from tests.support.hosts import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.support.spans import Telemetry

pytestmark = pytest.mark.skipif(Version("1.108") > VERSION, reason="older routers fall back from chat alone")
PICTURE = Answer.raw(200, json.dumps({"created": 1, "data": [{"url": "http://localhost/picture.png"}]}))
MODELS = ("gpt-4o", "gpt-4o-mini")
"""Models that litellm knows to have each endpoint, or asks by another."""

Ask = Any
ENDPOINTS: dict[str, tuple[str, Ask]] = {
    "responses": ("chat", lambda router, **more: router.aresponses(model="a", input="hi", **more)),
    "messages": (
        "chat",
        lambda router, **more: router.aanthropic_messages(model="a", messages=MESSAGES, max_tokens=9, **more),
    ),
    "text": ("text_completion", lambda router, **more: router.atext_completion(model="a", prompt="hi", **more)),
    "embeddings": ("embeddings", lambda router: router.aembedding(model="a", input="hi")),
    "images": ("generate_content", lambda router: router.aimage_generation(model="a", prompt="a cat")),
}
"""By name: what the run is called, and how the router is asked."""
STREAMED = ("responses", "text", "messages")

every_endpoint = pytest.mark.parametrize("name", ENDPOINTS)
streamed = pytest.mark.parametrize("name", STREAMED)


@pytest.fixture
def bench() -> Iterator[Bench]:
    clear_clients()
    with ExitStack() as stack:
        yield Bench(stack)


@pytest.fixture(autouse=True)
def what_messages_need(request: pytest.FixtureRequest) -> None:
    """A stream of Anthropic's messages needs packages of litellm's proxy; without them it fails after its answer."""
    if "messages" in request.node.name and "stream" in request.node.name:
        pytest.importorskip("fastapi")
        pytest.importorskip("soundfile")


def two(bench: Bench, *answers: Answer) -> None:
    """Add groups `a` and `b`, both at OpenAI's kind of provider."""
    for group, answer, model in zip("ab", answers, MODELS, strict=False):
        bench.add(group, "openai", answer, model=model)


def told(telemetry: Telemetry) -> list[tuple[Any, ...]]:
    """Return who was asked, in order: provider, model, place, what became of it, why."""
    assert not telemetry.markers
    assert {span.parent_id for span in telemetry.candidates} == {telemetry.run.span_id}
    keys = ("candidate.provider", "candidate.model", "candidate.index", "candidate.outcome", "failover.reason.code")
    return [tuple(span[key] for key in keys) for span in telemetry.candidates]


SECOND = [("openai", "gpt-4o", 0, "error", "billing"), ("openai", "gpt-4o-mini", 1, "success", None)]


async def answered(asked: Awaitable[Any]) -> Any:
    """Return what an endpoint gives, or the exception, once litellm has logged."""
    try:
        return await asked
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem
    finally:
        await settle()


def ask(name: str, router: Any) -> Any:
    """Ask one endpoint in a loop of its own."""

    async def work() -> Any:
        return await answered(ENDPOINTS[name][1](router))

    return asyncio.run(work())


# --- whole answers ----------------------------------------------------------------------------------------------------


@every_endpoint
def test_served_by_the_second(telemetry: Telemetry, bench: Bench, name: str) -> None:
    operation, _ = ENDPOINTS[name]
    two(bench, Answer.openai_quota(), PICTURE if name == "images" else Answer.ok("fine"))
    with telemetry.tracer.start_as_current_span("request") as around:
        assert not isinstance(ask(name, bench.router()), Exception)
    assert told(telemetry) == SECOND
    assert {span.verdict[0] for span in telemetry.candidates} == {"verified"}
    assert telemetry.run.name == f"failover {operation}"
    assert telemetry.run["failover.chain"] == ["openai/gpt-4o", "openai/gpt-4o-mini"]
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.run.parent_id == f"{around.get_span_context().span_id:016x}"
    assert [span["failover.wire.requests"] for span in telemetry.candidates] == [len(each) for each in bench.asked]


@every_endpoint
def test_all_failed(telemetry: Telemetry, bench: Bench, name: str) -> None:
    two(bench, Answer.openai_quota(), Answer.openai_server_error())
    assert isinstance(ask(name, bench.router()), Exception)
    assert [line[3:] for line in told(telemetry)] == [("error", "billing"), ("error", "server_error")]
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("exhausted", "ERROR")
    assert {span.verdict[0] for span in telemetry.candidates} == {"verified"}


@pytest.mark.parametrize("name", ["responses", "messages"])
def test_a_router_that_was_built_before_us(telemetry: Telemetry, bench: Bench, name: str) -> None:
    from otel_failover import FailoverInstrumentor

    two(bench, Answer.openai_quota(), Answer.ok("fine"))
    FailoverInstrumentor().uninstrument()
    try:
        router = bench.router()
    finally:
        FailoverInstrumentor().instrument(tracer_provider=telemetry.provider)
    assert not isinstance(ask(name, router), Exception)
    assert told(telemetry) == SECOND


def test_images_asked_synchronously(telemetry: Telemetry, bench: Bench) -> None:
    two(bench, Answer.openai_quota(), PICTURE)
    bench.router().image_generation(model="a", prompt="a cat")
    assert told(telemetry) == SECOND


def test_what_is_no_inference_is_none_of_ours(telemetry: Telemetry, bench: Bench) -> None:
    two(bench, Answer.raw(200, json.dumps({"id": "file-1", "object": "file"})))
    router = bench.router()

    async def work() -> Any:
        return await answered(router.amoderation(model="a", input="hi"))

    asyncio.run(work())
    assert not telemetry.starting("failover ")
    assert not telemetry.candidates


# --- streams ----------------------------------------------------------------------------------------------------------


def consumed(ask: Callable[[], Awaitable[Any]], consume: Callable[[Any], Awaitable[Any]]) -> Any:
    """Ask, and consume the stream: return what that gives."""

    async def work() -> Any:
        found = await consume(await ask())
        gc.collect()
        await settle()
        return found

    return asyncio.run(work())


@streamed
def test_a_stream_is_read_to_its_end(telemetry: Telemetry, bench: Bench, name: str) -> None:
    two(bench, Answer.openai_quota(), Answer.stream(["fi", "ne"]))
    router, open_then = bench.router(), []

    async def read(stream: Any) -> str:
        open_then.append(not telemetry.starting("failover "))
        return "".join([str(chunk) async for chunk in stream])

    said = consumed(lambda: ENDPOINTS[name][1](router, stream=True), read)
    assert open_then == [True]
    assert "fi" in said
    assert told(telemetry) == SECOND
    assert telemetry.run["failover.outcome"] == "fallback"


@streamed
@pytest.mark.parametrize("how", ["closed", "dropped", "dropped unread"])
def test_a_stream_is_left(telemetry: Telemetry, bench: Bench, name: str, how: str) -> None:
    two(bench, Answer.openai_quota(), Answer.stream(["fi", "ne", " and", " more"]))
    router = bench.router()

    async def leave(stream: Any) -> None:
        if "unread" not in how:
            await stream.__anext__()
        if how == "closed" and hasattr(stream, "aclose"):
            await stream.aclose()

    consumed(lambda: ENDPOINTS[name][1](router, stream=True), leave)
    gc.collect()
    assert told(telemetry)[0] == SECOND[0]
    assert told(telemetry)[1][2:4] == (1, "success")
    assert telemetry.run["failover.outcome"] == "fallback"


@streamed
def test_a_stream_fails_after_its_output_began(telemetry: Telemetry, bench: Bench, name: str) -> None:
    two(bench, Answer.stream(["Hel", "lo"], then="cut"), Answer.ok("never"))
    router = bench.router()

    async def read(stream: Any) -> Any:
        try:
            return [chunk async for chunk in stream]
        except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
            return problem

    consumed(lambda: ENDPOINTS[name][1](router, stream=True), read)
    assert told(telemetry)[0][:3] == ("openai", "gpt-4o", 0)
    assert told(telemetry)[0][3] in ("partial", "error")
    assert telemetry.run["failover.outcome"] in ("stopped", "fallback")


@pytest.mark.skipif(not NATIVE, reason="older routers give up, or ask on in a run of their own")
@pytest.mark.parametrize("name", ["responses", "messages"])
@pytest.mark.parametrize("ending", ["error", "cut"])
def test_a_stream_fails_before_its_output(telemetry: Telemetry, bench: Bench, name: str, ending: Any) -> None:
    """The router asks the next one while the host reads, in the host's context: in the same run."""
    failing = Answer.stream([], then=ending, message="Overloaded", type="overloaded_error")
    bench.add("a", "anthropic", failing, model="claude-3-haiku-20240307")
    bench.add("b", "openai", Answer.stream(["fi", "ne"]), model="gpt-4o-mini")
    router = bench.router()

    async def read(stream: Any) -> str:
        with telemetry.tracer.start_as_current_span("reading"):
            return "".join([str(chunk) async for chunk in stream])

    assert "fi" in consumed(lambda: ENDPOINTS[name][1](router, stream=True), read)
    gc.collect()
    assert [line[:4] for line in told(telemetry)] == [
        ("anthropic", "claude-3-haiku-20240307", 0, "error"),
        ("openai", "gpt-4o-mini", 1, "success"),
    ]
    if ending == "error":
        assert telemetry.candidates[0]["failover.reason.code"] == "overloaded"
    assert {span.verdict[0] for span in telemetry.candidates} == {"verified"}
    assert telemetry.run["failover.outcome"] == "fallback"
