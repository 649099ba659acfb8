"""Who plays in the scenarios: the members of a chain, their keys, and functions that ask them through the real SDKs."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from opentelemetry.trace import TracerProvider

    from otel_failover.testing.providers import Answer, Kind

PATIENCE: Final = 0.3
"""Seconds a client waits for a provider that never answers."""

_MORE_PATIENCE: Final = 10.0
"""Seconds for one that does: a busy machine is no timeout."""

KEYS: Final = {
    "openai": "sk-proj-local0000000000000000000000000000000key1",
    "anthropic": "sk-ant-local00000000000000000000000000000000key2",
    "gcp.gemini": "AIzaLocal000000000000000000000000000000000key3",
    "team-a": "sk-proj-local0000000000000000000000000000000key4",
    "team-b": "sk-proj-local0000000000000000000000000000000key5",
}
"""The keys that the clients send, by profile or provider. They open nothing, and still stand in no span.

No word that an answer may hold is a part of one: it would be masked there.
"""

PROMPT: Final = "Say hello."
_MESSAGES: Final[Any] = [{"role": "user", "content": PROMPT}]


@dataclass(frozen=True, slots=True)
class Member:
    """One place of a chain, and the local provider behind it.

    Args:
        provider: The candidate's provider.
        model: Its model.
        answer: What the local provider gives.
        kind: Whose wire format the local provider speaks; also which SDK asks.
        profile: The label of its key.
    """

    provider: str
    model: str
    answer: Answer
    kind: Kind = "openai"
    profile: str | None = None

    @property
    def name(self) -> str:
        """What the local provider's log calls it."""
        return self.profile or self.provider

    @property
    def key(self) -> str:
        """What its client sends."""
        return KEYS[self.name]

    @property
    def patience(self) -> float:
        """Seconds its client waits."""
        return PATIENCE if self.answer.kind == "hang" else _MORE_PATIENCE


def asking(
    member: Member, base_url: str, tracer_provider: TracerProvider | None
) -> AbstractContextManager[Callable[[], str]]:
    """Return a context manager that gives a function asking one member through its real SDK.

    Args:
        member: Who is asked; of the kinds openai and anthropic.
        base_url: Where its local provider is.
        tracer_provider: Where an SDK that makes spans by itself sends them.
    """
    if member.kind == "anthropic":
        return _ask_anthropic(member, base_url, tracer_provider)
    return _ask_openai(member, base_url)


@contextmanager
def _ask_openai(member: Member, base_url: str) -> Iterator[Callable[[], str]]:
    """Give a function that asks through OpenAI's SDK: its own providers, and Gemini's endpoint for it."""
    import openai

    http_client = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(http_client=http_client, **options_of(member, base_url)) as client:

        def ask() -> str:
            reply = client.chat.completions.create(model=member.model, messages=_MESSAGES)
            return reply.choices[0].message.content or ""

        yield ask


@contextmanager
def _ask_anthropic(
    member: Member, base_url: str, tracer_provider: TracerProvider | None
) -> Iterator[Callable[[], str]]:
    """Give a function that asks through Anthropic's SDK."""
    import anthropic

    options = {**options_of(member, base_url), **telemetry_of(anthropic.Anthropic, tracer_provider)}
    with anthropic.Anthropic(http_client=anthropic.DefaultHttpxClient(trust_env=False), **options) as client:

        def ask() -> str:
            reply = client.messages.create(model=member.model, messages=_MESSAGES, max_tokens=64)
            return "".join(getattr(block, "text", "") for block in reply.content)

        yield ask


def options_of(member: Member, base_url: str) -> dict[str, Any]:
    """Return how a client of OpenAI's or Anthropic's SDK is made for a member.

    Args:
        member: Who is asked.
        base_url: Where its local provider is.
    """
    return {"api_key": member.key, "base_url": base_url, "max_retries": 0, "timeout": member.patience}


def telemetry_of(client: type, tracer_provider: TracerProvider | None) -> dict[str, Any]:
    """Return what sends the spans that Anthropic's SDK (1.11 and newer) makes by itself where ours go.

    Args:
        client: The client's class.
        tracer_provider: Where to; None leaves the SDK to the global one.
    """
    if tracer_provider is None or "open_telemetry" not in inspect.signature(client.__init__).parameters:  # type: ignore[misc]
        return {}
    return {"open_telemetry": {"tracer_provider": tracer_provider, "propagation": False}}
