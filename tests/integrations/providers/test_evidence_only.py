"""SDKs that nothing of theirs is patched of: mistral, cohere and groq are seen by what they send, and by no more."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import MESSAGES, stand

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.spans import Telemetry

KEY = "Wc7RtYbH3kZq8vL2mN4x"
MODELS = {"mistral_ai": "mistral-large-latest", "groq": "llama-3.3-70b-versatile", "cohere": "command-a-03-2025"}
ANSWERED: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip
OF_COHERE: dict[str, Any] = {
    "id": "1", "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "fine"}]},
}  # fmt: skip


def _mistral(url: str, timeout: float) -> Callable[[], str]:
    sdk = pytest.importorskip("mistralai.client")
    client = sdk.Mistral(api_key=KEY, server_url=url, timeout_ms=int(timeout * 1000))
    return lambda: client.chat.complete(model=MODELS["mistral_ai"], messages=MESSAGES).choices[0].message.content


def _groq(url: str, timeout: float) -> Callable[[], str]:
    sdk = pytest.importorskip("groq")
    client = sdk.Groq(api_key=KEY, base_url=url, timeout=timeout, max_retries=0)
    return lambda: client.chat.completions.create(model=MODELS["groq"], messages=MESSAGES).choices[0].message.content


def _cohere(url: str, timeout: float) -> Callable[[], str]:
    sdk = pytest.importorskip("cohere")
    client = sdk.ClientV2(api_key=KEY, base_url=url, timeout=timeout)
    options = {"max_retries": 0}
    return lambda: (
        client.chat(model=MODELS["cohere"], messages=MESSAGES, request_options=options).message.content[0].text
    )


CLIENTS = {"mistral_ai": _mistral, "groq": _groq, "cohere": _cohere}
BODIES = {"mistral_ai": ANSWERED, "groq": ANSWERED, "cohere": OF_COHERE}
each = pytest.mark.parametrize("provider", list(CLIENTS))


def served(provider: str) -> Answer:
    return Answer.raw(200, json.dumps(BODIES[provider]), content_type="application/json")


def first_of(provider: str, server: LocalProvider, timeout: float = 30) -> tuple[Candidate, Callable[[], str]]:
    """Return a candidate and how an application asks it."""
    return Candidate(provider, MODELS[provider], server.endpoint), CLIENTS[provider](server.endpoint, timeout)


@each
def test_a_limit_is_its_own_and_the_next_one_serves(telemetry: Telemetry, provider: str) -> None:
    limited = Answer.error(429, "Requests rate limit exceeded for this workspace", code="1300")
    with LocalProvider("openai", limited) as server, stand("anthropic", Answer.ok("fine")) as second:
        candidate, ask = first_of(provider, server)
        with failover_run(chain=[candidate, second.candidate]) as run:
            with pytest.raises(Exception, match=r"429|rate limit") as caught, run.attempt(candidate) as attempt:
                ask()
            with run.attempt(second.candidate):
                second.ask()
        assert [each.status for each in server.log] == [429]
    own, _ = telemetry.candidates
    assert (own["candidate.provider"], own["candidate.outcome"], own["failover.reason.code"]) == (
        provider,
        "error",
        "rate_limit",
    )
    assert (own["http.response.status_code"], own["failover.wire.requests"]) == (429, 1)
    assert own.verdict == ("verified", None)
    assert attempt.error is not None
    assert attempt.error.message == "Requests rate limit exceeded for this workspace"
    assert telemetry.run["failover.outcome"] == "fallback"
    assert type(caught.value).__module__.split(".")[0] in ("mistralai", "groq", "cohere")


@each
def test_it_serves(telemetry: Telemetry, provider: str) -> None:
    with LocalProvider("openai", served(provider)) as server:
        candidate, ask = first_of(provider, server)
        with failover_run(chain=[candidate]) as run, run.attempt(candidate):
            assert ask() == "fine"
    (own,) = telemetry.candidates
    assert (own["candidate.outcome"], own["http.response.status_code"]) == ("success", 200)
    assert own.verdict == ("verified", None)


@each
def test_its_timeout_told_with_anothers_quota_is_a_mismatch(telemetry: Telemetry, provider: str) -> None:
    """The incident, at a provider whose SDK nothing is patched of."""
    with stand("openai", Answer.openai_quota()) as first, LocalProvider("openai", Answer.hang(1)) as server:
        candidate, ask = first_of(provider, server, timeout=0.2)
        with failover_run(chain=[first.candidate, candidate]) as run:
            with pytest.raises(Exception, match="quota") as stale, run.attempt(first.candidate):
                first.ask()
            with pytest.raises(RuntimeError), run.attempt(candidate):
                try:
                    ask()
                except Exception as problem:  # noqa: BLE001 - that is the loop
                    raise RuntimeError(f"{provider} failed: {stale.value}") from problem
    own = telemetry.candidates[1]
    assert (own["candidate.outcome"], own["failover.reason.code"]) == ("error", "timeout")
    assert own.verdict == ("mismatch", "stale_error")
    assert own["failover.attribution.source.provider"] == "openai"
    assert len(telemetry.markers) == 1


def test_what_goes_over_a_socket_of_its_own_is_never_guessed(telemetry: Telemetry) -> None:
    """gRPC, Rust routes and clients with their own HTTP: nothing was seen, and nothing is made of it."""
    with LocalProvider("openai", Answer.openai_quota()) as server, failover_run(chain=["xai/grok-4"]) as run:
        connection = http.client.HTTPConnection("127.0.0.1", int(server.endpoint.rpartition(":")[2]))
        with pytest.raises(RuntimeError), run.attempt("xai/grok-4") as attempt:
            connection.request("POST", "/v1/chat/completions", "{}")
            status = connection.getresponse().status
            connection.close()
            raise RuntimeError(f"UNAVAILABLE: {status}")
    (own,) = telemetry.candidates
    assert (own["candidate.outcome"], own["failover.evidence"]) == ("error", "none")
    assert own.verdict == ("unverified", "evidence_incomplete")
    assert (own["http.response.status_code"], own["failover.reason.code"]) == (None, "unknown")
    assert attempt.error is not None
    assert "429" not in attempt.error.message
    assert not telemetry.markers
