"""Whose a call is at a host that nobody knows: by the client's type, by a span around it, else by the host's name."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final

import anthropic
import openai
import pytest

from otel_failover import Candidate, FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.spans import Telemetry

MODEL: Final = "m-1"
MESSAGES: Final[Any] = [{"role": "user", "content": "Hello?"}]
HOST: Final = "127.0.0.1"
KEY: Final = "sk-proj-0a1B2c3D4e5F6g7H8i9J0kLm"
ONCE: Final[dict[str, Any]] = {"max_retries": 0, "timeout": 20}
AWS: Final = {"api_key": KEY, "aws_region": "us-east-1"}
VERTEX: Final = {"region": "us-east5", "project_id": "p", "access_token": KEY}


class OurAzure(openai.AzureOpenAI):
    """An application's own client."""


CLIENTS: Final[dict[str, tuple[Callable[[str], Any], str]]] = {
    "OpenAI": (lambda url: openai.OpenAI(base_url=url, api_key=KEY, **ONCE), HOST),
    "AsyncOpenAI": (lambda url: openai.AsyncOpenAI(base_url=url, api_key=KEY, **ONCE), HOST),
    "Anthropic": (lambda url: anthropic.Anthropic(base_url=url, api_key=KEY, **ONCE), HOST),
    "AzureOpenAI": (
        lambda url: openai.AzureOpenAI(azure_endpoint=url, api_key=KEY, api_version="2026-01-01", **ONCE),
        "azure.ai.openai",
    ),
    "AsyncAzureOpenAI": (
        lambda url: openai.AsyncAzureOpenAI(azure_endpoint=url, api_key=KEY, api_version="2026-01-01", **ONCE),
        "azure.ai.openai",
    ),
    "one's own of Azure's": (
        lambda url: OurAzure(azure_endpoint=url, api_key=KEY, api_version="2026-01-01", **ONCE), "azure.ai.openai",
    ),
    "BedrockOpenAI": (lambda url: _of("openai", "BedrockOpenAI")(base_url=url, api_key=KEY, **ONCE), "aws.bedrock"),
    "AsyncBedrockOpenAI": (
        lambda url: _of("openai", "AsyncBedrockOpenAI")(base_url=url, api_key=KEY, **ONCE), "aws.bedrock",
    ),
    "AnthropicBedrock": (lambda url: _of("anthropic", "AnthropicBedrock")(base_url=url, **AWS, **ONCE), "aws.bedrock"),
    "AsyncAnthropicBedrock": (
        lambda url: _of("anthropic", "AsyncAnthropicBedrock")(base_url=url, **AWS, **ONCE), "aws.bedrock",
    ),
    "AnthropicBedrockMantle": (
        lambda url: _of("anthropic", "AnthropicBedrockMantle")(base_url=url, **AWS, **ONCE), "aws.bedrock",
    ),
    "AnthropicVertex": (
        lambda url: _of("anthropic", "AnthropicVertex")(base_url=url, **VERTEX, **ONCE), "gcp.vertex_ai",
    ),
    "AsyncAnthropicVertex": (
        lambda url: _of("anthropic", "AsyncAnthropicVertex")(base_url=url, **VERTEX, **ONCE), "gcp.vertex_ai",
    ),
    "AnthropicFoundry": (
        lambda url: _of("anthropic", "AnthropicFoundry")(base_url=url, api_key=KEY, **ONCE), "azure.ai.inference",
    ),
}  # fmt: skip
"""Clients of the SDKs, and whom each is for where nobody knows the host."""


def _of(sdk: str, name: str) -> Any:
    """Return a class of clients that not every release has."""
    found = getattr({"openai": openai, "anthropic": anthropic}[sdk], name, None)
    if found is None or ("Bedrock" in name and "api_key" not in inspect.signature(found).parameters):
        pytest.skip(f"this release of {sdk} has no {name} with a key")
    return found


def ask(client: Any) -> None:
    """Ask, whatever comes: only who is asked matters."""
    is_claude = type(client).__module__.startswith("anthropic")
    create = client.messages.create if is_claude else client.chat.completions.create
    more: dict[str, Any] = {"max_tokens": 9} if is_claude else {}
    try:
        found = create(model=MODEL, messages=MESSAGES, **more)
        if asyncio.iscoroutine(found):
            asyncio.run(_driven(found))
    except (openai.APIError, anthropic.APIError):
        return


async def _driven(found: Any) -> Any:
    return await found


@pytest.mark.parametrize("inside", ["a run", "nothing"])
@pytest.mark.parametrize("name", CLIENTS)
def test_a_clients_type_says_whose_a_call_is(telemetry: Telemetry, name: str, inside: str) -> None:
    make, provider = CLIENTS[name]
    kind: Any = "anthropic" if "Anthropic" in name else "openai"
    with LocalProvider(kind, Answer.error(429, "Slow down.")) as server:
        client = make(server.endpoint)
        if inside == "a run":
            with failover_run("chat"):
                ask(client)
        else:
            ask(client)
    told = {span["candidate.provider"] for span in telemetry.spans if span["candidate.provider"]}
    assert told == {provider}


def azure(endpoint: str) -> Any:
    return openai.AzureOpenAI(azure_endpoint=endpoint, api_key=KEY, api_version="2026-01-01", **ONCE)


def test_what_is_surer_than_a_clients_type_comes_before_it(telemetry: Telemetry) -> None:
    with LocalProvider("openai", *[Answer.ok()] * 3) as server:
        ask(azure(server.endpoint))
        with failover_run("chat", chain=[Candidate("mistral_ai", MODEL, server.endpoint)]):
            ask(azure(server.endpoint))
        with failover_run("chat", chain=[Candidate("groq", MODEL)]):
            ask(azure(server.endpoint))
    found = [span["candidate.provider"] for span in telemetry.starting("chat ")]
    assert found == ["azure.ai.openai", "mistral_ai", "groq"]


def test_an_alias_comes_before_a_clients_type(telemetry: Telemetry) -> None:
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, provider_aliases={HOST: "mistral_ai"})
    with LocalProvider("openai", Answer.ok()) as server:
        ask(azure(server.endpoint))
    assert [span["candidate.provider"] for span in telemetry.starting("chat ")] == ["mistral_ai"]


# --- another instrumentation's span -----------------------------------------------------------------------------------

CHAT: Final = {"gen_ai.operation.name": "chat", "gen_ai.request.model": MODEL}
OWN: Final = "acme.telemetry"
SPANS: Final[dict[str, tuple[str, Mapping[str, Any], str]]] = {
    "one's own": (OWN, {**CHAT, "gen_ai.provider.name": "mistral_ai"}, "mistral_ai"),
    "one's own, in older words": (OWN, {**CHAT, "gen_ai.system": "az.ai.openai"}, "azure.ai.openai"),
    "one's own, in other words": (OWN, {"llm.request.type": "chat", "gen_ai.system": "Together"}, "together_ai"),
    "one's own, the newer word first": (OWN, {**CHAT, "gen_ai.system": "groq", "gen_ai.provider.name": "vllm"}, "vllm"),
    "litellm's": ("litellm", {**CHAT, "gen_ai.system": "hosted_vllm", "gen_ai.provider.name": "vllm"}, "vllm"),
    "litellm's, its own prefix of the model": (
        "litellm", {**CHAT, "gen_ai.request.model": f"groq/{MODEL}", "gen_ai.system": "groq"}, "groq",
    ),
    "litellm's, which says it for whatever speaks the format": ("litellm", {**CHAT, "gen_ai.system": "openai"}, HOST),
    "pydantic-ai's": ("pydantic-ai", {**CHAT, "gen_ai.provider.name": "ollama"}, "ollama"),
    "pydantic-ai's, which is the SDK's": ("pydantic-ai", {**CHAT, "gen_ai.provider.name": "openai"}, HOST),
    "pydantic-ai's list": ("pydantic-ai", {**CHAT, "gen_ai.system": "fallback:openai,groq"}, HOST),
    "OpenLLMetry's of the URL": (
        "opentelemetry.instrumentation.openai.v1", {**CHAT, "gen_ai.system": "openrouter"}, "openrouter",
    ),
    "OpenLLMetry's of any other": ("opentelemetry.instrumentation.openai.v1", {**CHAT, "gen_ai.system": "openai"}, HOST),
    "OpenTelemetry's constant": (
        "opentelemetry.instrumentation.openai_v2", {**CHAT, "gen_ai.provider.name": "openai"}, HOST,
    ),
    "a constant of an SDK": ("opentelemetry.instrumentation.mistralai", {**CHAT, "gen_ai.system": "mistral_ai"}, HOST),
    "a constant of an SDK, in newer ones": (
        "opentelemetry.instrumentation.genai.anthropic", {**CHAT, "gen_ai.provider.name": "anthropic"}, HOST,
    ),
    "OpenInference's of the host": (
        "openinference.instrumentation.openai",
        {"openinference.span.kind": "LLM", "llm.provider": "groq", "llm.system": "openai", "llm.model_name": MODEL}, "groq",
    ),
    "OpenInference's protocol": (
        "openinference.instrumentation.openai", {"openinference.span.kind": "LLM", "gen_ai.system": "cohere"}, HOST,
    ),
    "OpenLIT's constant": ("openlit.otel.tracing", {**CHAT, "gen_ai.system": "groq"}, HOST),
    "LangSmith's guess": ("langsmith", {**CHAT, "gen_ai.system": "anthropic"}, HOST),
    "LiveKit's": ("livekit-agents", {**CHAT, "gen_ai.system": "groq"}, HOST),
    "a framework's name": (OWN, {**CHAT, "gen_ai.system": "strands-agents"}, HOST),
    "a name of one's own": (OWN, {**CHAT, "gen_ai.provider.name": "acme-llm"}, HOST),
    "no text": (OWN, {**CHAT, "gen_ai.provider.name": 7}, HOST),
    "an agent's": (
        OWN, {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": MODEL, "gen_ai.provider.name": "groq"}, HOST,
    ),
    "a tool's": (OWN, {"gen_ai.operation.name": "execute_tool", "gen_ai.provider.name": "groq"}, HOST),
    "of another model": (OWN, {**CHAT, "gen_ai.request.model": "m-2", "gen_ai.provider.name": "groq"}, HOST),
    "no inference": (OWN, {"gen_ai.provider.name": "groq"}, HOST),
}  # fmt: skip


@pytest.mark.parametrize("inside", ["a run", "nothing"])
@pytest.mark.parametrize("name", SPANS)
def test_a_span_around_a_call_is_believed_unless_it_is_its_producers_constant(
    telemetry: Telemetry, name: str, inside: str
) -> None:
    scope, said, provider = SPANS[name]
    tracer = telemetry.provider.get_tracer(scope)

    def asked() -> None:
        with tracer.start_as_current_span(f"chat {MODEL}", attributes=dict(said)):
            ask(openai.OpenAI(base_url=f"{server.endpoint}/v1", api_key=KEY, **ONCE))

    with LocalProvider("openai", Answer.ok()) as server:
        if inside == "a run":
            with failover_run("chat"):
                asked()
        else:
            asked()
    own = [span for span in telemetry.spans if span.scope == "otel_failover" and span["candidate.provider"]]
    assert {span["candidate.provider"] for span in own} == {provider}


def test_a_span_is_not_asked_where_the_client_or_the_host_tells(telemetry: Telemetry) -> None:
    tracer = telemetry.provider.get_tracer(OWN)
    said = {**CHAT, "gen_ai.provider.name": "groq"}
    with LocalProvider("openai", Answer.ok()) as server, tracer.start_as_current_span("chat", attributes=said):
        ask(azure(server.endpoint))
    (call,) = (span for span in telemetry.starting("chat ") if span.scope == "otel_failover")
    assert call["candidate.provider"] == "azure.ai.openai"


def test_a_loop_that_says_so_at_each_call_fails_over_between_whom_it_names(telemetry: Telemetry) -> None:
    """Two providers behind one gateway: what tells them apart is the word of whoever calls."""
    tracer = telemetry.provider.get_tracer(OWN)
    with LocalProvider("openai", Answer.error(429, "Slow down."), Answer.ok()) as server, failover_run("chat") as run:
        client = openai.OpenAI(base_url=f"{server.endpoint}/v1", api_key=KEY, **ONCE)
        for provider in ("groq", "mistral_ai"):
            with tracer.start_as_current_span("chat", attributes={**CHAT, "gen_ai.provider.name": provider}):
                ask(client)
    assert run is not None
    assert [span["candidate.provider"] for span in telemetry.candidates] == ["groq", "mistral_ai"]
    assert telemetry.run["failover.outcome"] == "fallback"
