"""Which requests are calls by themselves, and whose: not what an SDK's call claims, nor what asks no model."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.core.runs.by_wire.ways import DIALECTS, TURNS
from tests.support.hosts import stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Exported, Telemetry

BODY: Any = DIALECTS["chat"].body
KEY = "sk-proj-Zq8vL2mN4xWc7RtYbH3k"


def calls(telemetry: Telemetry) -> list[Exported]:
    found = [each for each in telemetry.spans if each["gen_ai.operation.name"] and each.scope == "otel_failover"]
    return sorted(found, key=lambda each: each.start)


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with LocalProvider("openai", Answer.ok()) as found:
        yield found


# --- what asks no model -----------------------------------------------------------------------------------------------


def a_generator(url: str) -> Any:
    """A body that can be read once: nobody knows what it asks, and the host is nobody's."""
    return httpx.post(url, content=iter([json.dumps(BODY).encode()]), headers={"content-type": "application/json"})


def a_form(url: str) -> Any:
    return httpx.post(url, data={"model": "m"}, files={"file": b"messages"})


def a_chat_product(url: str) -> Any:
    return httpx.post(url.replace("/chat/completions", "/messages"), json={"text": "Hello?", "channel": "general"})


def an_embedding(url: str) -> Any:
    return httpx.post(url.replace("/chat/completions", "/embeddings"), json={"model": "m", "input": "Hello?"})


def a_read(url: str) -> Any:
    return httpx.get(url.replace("/chat/completions", "/models"))


@pytest.mark.parametrize("way", [a_generator, a_form, a_chat_product, an_embedding, a_read])
def test_what_asks_no_model_is_no_call(
    telemetry: Telemetry, provider: LocalProvider, way: Callable[[str], Any]
) -> None:
    way(f"{provider.base_url}/chat/completions")
    assert telemetry.spans == []
    assert len(provider.log) == 1


def test_under_suppressed_instrumentation_only_an_attempt_has_calls(
    telemetry: Telemetry, provider: LocalProvider
) -> None:
    url, candidate = f"{provider.base_url}/chat/completions", Candidate("openai", "m", provider.endpoint)
    with suppress_instrumentation():
        httpx.post(url, json=BODY)
        assert telemetry.spans == []
        with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
            httpx.post(url, json=BODY)
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span["failover.evidence"]) == ("success", "complete")
    assert calls(telemetry) == []


# --- bodies -----------------------------------------------------------------------------------------------------------


def test_a_body_of_ten_megabytes_is_not_taken_apart(telemetry: Telemetry, provider: LocalProvider) -> None:
    long = {"model": "m", "messages": [{"role": "user", "content": "x" * 10_000_000}]}
    httpx.post(f"{provider.base_url}/chat/completions", json=long)
    (span,) = calls(telemetry)
    assert (span.name, span["candidate.outcome"]) == ("chat m", "success")


def test_a_body_that_is_encoded_asks_where_the_host_is_known(telemetry: Telemetry, provider: LocalProvider) -> None:
    def ask() -> None:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        httpx.post(url, content=gzip.compress(json.dumps(BODY).encode()), headers=headers)

    url = f"{provider.base_url}/chat/completions"
    ask()
    assert telemetry.spans == []
    with failover_run("chat", chain=[Candidate("openai", "m", provider.endpoint)]):
        ask()
    (span,) = calls(telemetry)
    assert span["candidate.model"] in ("", "m")


def test_keys_never_leave(telemetry: Telemetry) -> None:
    said = Answer.error(401, f"Incorrect API key provided: {KEY}", code="invalid_api_key")
    telemetry.planted.add(KEY)
    with LocalProvider("openai", said) as provider:
        url = f"{provider.base_url}/chat/completions?key={KEY}"
        httpx.post(url, json=BODY, headers={"authorization": f"Bearer {KEY}"})
    (span,) = calls(telemetry)
    assert span["failover.reason.code"] == "auth"


@pytest.mark.parametrize("same", [True, False], ids=["one key", "two keys"])
def test_two_keys_of_one_provider_are_two_candidates(telemetry: Telemetry, same: bool) -> None:
    with LocalProvider("openai", Answer.openai_quota(), Answer.ok()) as provider, failover_run("chat"):
        for key in (KEY, KEY if same else KEY[::-1]):
            headers = {"authorization": f"Bearer {key}"}
            httpx.post(f"{provider.base_url}/chat/completions", json=BODY, headers=headers)
    assert [each["candidate.index"] for each in telemetry.candidates] == [0, 0 if same else 1]


# --- inside an SDK's call ---------------------------------------------------------------------------------------------


def _app(ask: Callable[[], Any]) -> Any:
    """An application that is reached in this process, and asks a provider for what it answers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status, body = await ask()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


@pytest.mark.parametrize("inner", ["openai", "httpx"])
@pytest.mark.parametrize("place", ["outside", "bare", "attempt"])
def test_an_application_inside_an_sdks_call_asks_on_its_own_account(
    telemetry: Telemetry, inner: str, place: str
) -> None:
    httpx2 = pytest.importorskip("httpx2")

    async def main(provider: LocalProvider) -> None:
        async def by_sdk() -> tuple[int, bytes]:
            async with openai.AsyncOpenAI(base_url=provider.base_url, api_key=KEY, max_retries=0) as client:
                reply = await client.chat.completions.with_raw_response.create(model="inner", messages=TURNS)  # type: ignore[arg-type]
                return 200, reply.http_response.content

        async def by_hand() -> tuple[int, bytes]:
            async with httpx.AsyncClient() as client:
                reply = await client.post(f"{provider.base_url}/chat/completions", json={**BODY, "model": "inner"})
                return reply.status_code, reply.content

        transport = httpx2.ASGITransport(_app(by_sdk if inner == "openai" else by_hand))
        http: Any = httpx2.AsyncClient(transport=transport)
        outer = openai.AsyncOpenAI(base_url="http://app.test/v1", api_key=KEY, max_retries=0, http_client=http)
        candidate = Candidate("openai", "outer", "http://app.test")
        run: Any = failover_run("chat", chain=[candidate]) if place != "outside" else contextlib.nullcontext()
        with run as opened:
            with opened.attempt(candidate) if place == "attempt" else contextlib.nullcontext():
                await outer.chat.completions.create(model="outer", messages=TURNS)  # type: ignore[arg-type]
        await outer.close()

    with LocalProvider("openai", Answer.ok()) as provider:
        asyncio.run(main(provider))
    names = {each.name: each for each in calls(telemetry)}
    assert set(names) == {"chat outer", "chat inner"}
    assert names["chat inner"].parent_id == names["chat outer"].span_id
    assert names["chat inner"]["candidate.outcome"] == "success"
    assert names["chat inner"]["failover.wire.requests"] == 1
    if place != "outside":
        (span,) = telemetry.candidates
        assert (span["candidate.model"], span["failover.wire.requests"]) == ("outer", 1)
        assert telemetry.run["failover.outcome"] == "primary"


# --- other people's spans ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "ours"),
    [
        ({"gen_ai.operation.name": "chat"}, 0),
        ({"llm.request.type": "chat"}, 0),
        ({"openinference.span.kind": "LLM"}, 0),
        ({"gen_ai.operation.name": "invoke_agent"}, 1),
        ({"gen_ai.operation.name": "execute_tool"}, 1),
        ({"openinference.span.kind": "CHAIN"}, 1),
    ],
)
def test_where_somebody_else_makes_the_span_ours_is_left_out(
    telemetry: Telemetry, provider: LocalProvider, attributes: dict[str, str], ours: int
) -> None:
    with failover_run("chat", chain=[Candidate("openai", "m", provider.endpoint)]):
        with telemetry.tracer.start_as_current_span("theirs", attributes=attributes):
            httpx.post(f"{provider.base_url}/chat/completions", json=BODY)
    assert len(calls(telemetry)) == ours
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span["failover.evidence"]) == ("success", "complete")


def test_an_answer_that_the_host_holds_without_reading_it_is_no_hung_candidate(telemetry: Telemetry) -> None:
    from otel_failover._core.config import runtime

    with LocalProvider("openai", Answer.stream(3)) as provider, httpx.Client() as client:
        with failover_run("chat", chain=[Candidate("openai", "m", provider.endpoint)]):
            body = {**BODY, "stream": True}
            response = client.send(
                client.build_request("POST", f"{provider.base_url}/chat/completions", json=body), stream=True
            )
            active = runtime.current()
            (attempt,) = active.open_attempts
            active.on_stale(attempt, attempt.started + 10 * active.settings.stale_after)
            assert telemetry.named("failover.hung") == []
            response.close()
    assert telemetry.candidates[0]["candidate.outcome"] == "success"


def test_the_sdks_span_is_there_in_a_stands_own_call(telemetry: Telemetry) -> None:
    with stand("openai", Answer.ok()) as first:
        first.ask()
    (span,) = calls(telemetry)
    assert span["failover.wire.requests"] == 1
