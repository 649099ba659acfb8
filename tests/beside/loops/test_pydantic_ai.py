"""pydantic-ai's `FallbackModel` beside its own instrumentation, its neighbours', and those of the SDKs below it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pydantic_ai")

from pydantic_ai import Agent
from pydantic_ai.models.fallback import FallbackModel

from otel_failover.testing.providers import Answer, LocalProvider
from tests.beside.neighbours import has
from tests.beside.scenarios import same
from tests.integrations.loops.pydantic_ai.models import Bench, answered, streamed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_ai.models import Model

    from tests.beside.counting import Beside

Ends = tuple[tuple[Answer, ...], tuple[Answer, ...]]


def _error(kind: str, name: str) -> Answer:
    errors = {
        "openai": {"quota": Answer.openai_quota(), "busy": Answer.error(503, "The engine is overloaded right now")},
        "anthropic": {"quota": Answer.anthropic_credit_too_low(), "busy": Answer.anthropic_overloaded()},
        "gemini": {"quota": Answer.gemini_quota(), "busy": Answer.gemini_overloaded()},
        "bedrock": {"quota": Answer.bedrock_throttling(), "busy": Answer.bedrock_no_access()},
    }
    return (
        errors[kind].get(name)
        or {"ok": Answer.ok("fine"), "lost": Answer.reset()}.get(name)
        or Answer.stream(["Hel", "lo "], then="error" if name == "fails midway" else "cut")
    )


def _google(bench: Bench, answer: Answer) -> Model:
    from google import genai
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    server = bench.stack.enter_context(LocalProvider("gemini", answer))
    bench.servers.append(server)
    client = genai.Client(api_key="AIzaQw3eRt5yUi7oPa9sDf2g", http_options={"base_url": server.base_url})
    return GoogleModel("gemini-2.5-flash", provider=GoogleProvider(client=client))


def _bedrock(bench: Bench, answer: Answer) -> Model:
    import boto3
    from botocore.config import Config
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.providers.bedrock import BedrockProvider

    server = bench.stack.enter_context(LocalProvider("bedrock", answer))
    bench.servers.append(server)
    client = boto3.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=server.endpoint, aws_access_key_id="AKIAZ7QW3ERT5YUI9OPA",
        aws_secret_access_key="wJq8vL2mN4xWc7RtYbH3kPs6dFg9hJ1zXcVbNm0Q", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    return BedrockConverseModel("anthropic.claude-opus-4-7-v1:0", provider=BedrockProvider(bedrock_client=client))


MAKERS: dict[str, Callable[[Bench, Answer], Model]] = {
    "openai": lambda bench, answer: bench.openai(answer),
    "anthropic": lambda bench, answer: bench.anthropic(answer),
    "gemini": _google,
    "bedrock": _bedrock,
}
NEEDED = {"gemini": "google.genai", "bedrock": "boto3"}
PAIRS = [
    pytest.param(
        *pair,
        id=" then ".join(pair),
        marks=[pytest.mark.skipif(not has(NEEDED.get(kind, "openai")), reason=f"no {kind}") for kind in pair],
    )
    for pair in [("openai", "anthropic"), ("anthropic", "openai"), ("openai", "openai"), ("gemini", "openai"), ("bedrock", "anthropic")]
]  # fmt: skip
SCENES = {
    "first serves": ("ok", "ok"),
    "second serves": ("quota", "ok"),
    "second serves after a reset": ("lost", "ok"),
    "both fail": ("quota", "busy"),
    "both fail alike": ("quota", "quota"),
}
MIDWAY = {"fails midway": ("fails midway", "ok"), "is cut midway": ("cut", "ok")}


def _host(outcome: Any) -> Any:
    """Return what a host sees of an answer or of an exception, those of a group included."""
    if isinstance(outcome, BaseException):
        return type(outcome), same(outcome), [_host(each) for each in getattr(outcome, "exceptions", ())]
    return same(outcome)


def _ask(kinds: tuple[str, str], names: tuple[str, str], how: str) -> Any:
    with ExitStack() as stack:
        bench = Bench(stack)
        first, second = (MAKERS[kind](bench, _error(kind, name)) for kind, name in zip(kinds, names, strict=True))
        agent = Agent(FallbackModel(first, second))
        found = bench.run(lambda: answered(agent) if how == "run" else streamed(agent))
        return _host(found), bench.asked


@pytest.mark.parametrize("how", ["run", "stream"])
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_fallback(beside: Beside, first: str, second: str, scene: str, how: str) -> None:
    """Whoever serves, in every company; some neighbours know none of the ways in which it asks, or lose streams."""
    beside.needs("pydantic_ai", "openai", "anthropic", "google_genai", "bedrock")
    beside.honest(lambda: _ask((first, second), SCENES[scene], how), some="pydantic_ai" in beside.members)
    if scene != "first serves":
        assert beside.runs


@pytest.mark.parametrize("scene", MIDWAY)
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_stream_that_breaks_off(beside: Beside, first: str, second: str, scene: str) -> None:
    """The first one breaks off in the middle of its answer."""
    beside.needs("pydantic_ai", "openai", "anthropic", "google_genai", "bedrock")
    beside.honest(lambda: _ask((first, second), MIDWAY[scene], "stream"), some="pydantic_ai" in beside.members)


def test_agents_at_the_same_time(beside: Beside) -> None:
    """As tasks of one event loop."""
    beside.needs("pydantic_ai", "openai", "anthropic")

    def work() -> Any:
        with ExitStack() as stack:
            bench = Bench(stack)
            agents = [
                Agent(FallbackModel(bench.openai(Answer.openai_quota()), bench.anthropic(answer)))
                for answer in (Answer.ok("fine"), Answer.anthropic_overloaded()) * 2
            ]

            async def together() -> list[Any]:
                return await asyncio.gather(*map(answered, agents))

            return [_host(each) for each in bench.run(together)], bench.asked

    beside.honest(work)
