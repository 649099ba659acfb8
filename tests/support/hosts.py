"""Loops as people write them, with the real SDKs against local providers."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anthropic
import openai

from otel_failover import Candidate
from otel_failover.testing.providers import Answer, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGES: Any = [{"role": "user", "content": "hello"}]
KEYS = {
    "openai": "sk-proj-Zq8vL2mN4xWc7RtYbH3k",
    "anthropic": "sk-ant-Tg5hJ9kLpQ2wXs8dFv6n",
    "gcp.gemini": "AIzaQw3eRt5yUi7oPa9sDf2g",
}
LONG: Final = 30.0
"""Seconds that a busy machine may need for an answer that comes."""
MODELS = {"openai": "gpt-5.5", "anthropic": "claude-opus-4-7", "gcp.gemini": "gemini-2.5-flash"}


class LoopError(Exception):
    """A loop's own error, as agents have it: it says whose it is, and what."""

    def __init__(self, message: str, provider: str = "", status_code: int | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.provider = provider
        self.status_code = status_code
        self.__dict__.update(facts)


@dataclass
class Stand:
    """One candidate with its local provider and its real client."""

    candidate: Candidate
    server: LocalProvider
    client: Any
    aclient: Any
    tries: int = 1

    def ask(self, **options: Any) -> Any:
        """Ask as an application would."""
        options = {**self._patience(), **options}
        if isinstance(self.client, openai.OpenAI):
            return self.client.chat.completions.create(model=self.candidate.model, messages=MESSAGES, **options)
        if self.server.kind == "gemini":
            return self.client.models.generate_content(model=self.candidate.model, contents="hello", **options)
        return self.client.messages.create(model=self.candidate.model, messages=MESSAGES, max_tokens=16, **options)

    async def aask(self, **options: Any) -> Any:
        """Ask as an asynchronous application would."""
        options = {**self._patience(), **options}
        if isinstance(self.client, openai.OpenAI):
            return await self.aclient.chat.completions.create(model=self.candidate.model, messages=MESSAGES, **options)
        if self.server.kind == "gemini":
            return await self.aclient.models.generate_content(model=self.candidate.model, contents="hello", **options)
        return await self.aclient.messages.create(
            model=self.candidate.model, messages=MESSAGES, max_tokens=16, **options
        )

    def _patience(self) -> dict[str, float]:
        """Wait for an answer that comes, though the client is in a hurry: one that is not asked yet will hang."""
        coming = self.server.programmed
        soon = not any(map(hangs, coming[: self.tries])) and any(map(hangs, coming[self.tries :]))
        return {"timeout": LONG} if soon and self.server.kind != "gemini" else {}

    async def aclose(self) -> None:
        """Close the asynchronous client, in the loop that used it."""
        await (self.aclient.aclose() if self.server.kind == "gemini" else self.aclient.close())


def hangs(answer: Answer) -> bool:
    """Whether a client that waits for the whole of an answer waits for ever."""
    return "hang" in (answer.kind, answer.then)


def patience(provider: LocalProvider, short: float = 0.2) -> float:
    """How long a client waits for a provider: where an answer comes, as long as a busy machine may need.

    Args:
        provider: As it is programmed now.
        short: In seconds, where it is programmed to hang.
    """
    return short if any(map(hangs, provider.programmed)) else LONG


def by_name(url: str) -> str:
    """Return a local provider's URL under a name that no candidate of other tests has."""
    return url.replace("127.0.0.1", "localhost")


@contextmanager
def under_way(provider: LocalProvider, send: Callable[[], object]) -> Iterator[None]:
    """Keep a request of somebody else's waiting for its answer, in a thread of its own.

    Args:
        provider: Is programmed to hang first, for a moment.
        send: Sends it; may fail.
    """

    def ask() -> None:
        with suppress(Exception):
            send()

    thread = threading.Thread(target=ask)
    thread.start()
    while thread.is_alive() and not provider.log:
        time.sleep(0.005)
    assert [each.kind for each in provider.log] == ["hang"]
    yield
    thread.join()


def _gemini(server: LocalProvider, key: str, timeout: float, retries: int, more: dict[str, Any]) -> tuple[Any, Any]:
    """Return Google's own client, both kinds; times in milliseconds, `retries` without a wait between them."""
    import pytest

    pytest.importorskip("google.genai")
    from google import genai
    from google.genai import types

    retry = types.HttpRetryOptions(attempts=retries + 1, initial_delay=0.001, max_delay=0.001, jitter=0.001)
    options = {"base_url": server.base_url, "timeout": int(timeout * 1000), "retry_options": retry, **more}
    client = genai.Client(api_key=key, http_options=types.HttpOptions(**options))
    return client, client.aio


@contextmanager
def stand(
    provider: str,
    *answers: Answer,
    model: str | None = None,
    profile: str | None = None,
    key: str | None = None,
    timeout: float = 5.0,
    retries: int = 0,
    kind: str | None = None,
    **more: Any,
) -> Iterator[Stand]:
    """Open one candidate: Gemini is asked through its OpenAI-compatible endpoint, or by kind through its own.

    Its clients wait as long as `timeout` says where one of the answers hangs, else as long as a busy machine may need.
    `more` goes to Google's `HttpOptions`.
    """
    timeout = timeout if any(map(hangs, answers)) else LONG
    spoken: Any = kind or ("anthropic" if provider == "anthropic" else "openai")
    with LocalProvider(spoken, *answers, name=provider) as server:
        options: dict[str, Any] = {
            "api_key": key or KEYS.get(provider, "key-Hm4nB6vC8xZa1qWs3e"),
            "base_url": server.base_url,
            "max_retries": retries,
            "timeout": timeout,
        }
        candidate = Candidate(provider, model or MODELS.get(provider, "some-model"), server.endpoint, profile)
        if spoken == "gemini":
            yield Stand(candidate, server, *_gemini(server, options["api_key"], timeout, retries, more))
            return
        module: Any = anthropic if spoken == "anthropic" else openai
        pair = (
            (module.Anthropic, module.AsyncAnthropic) if spoken == "anthropic" else (module.OpenAI, module.AsyncOpenAI)
        )
        client = pair[0](**options)
        yield Stand(candidate, server, client, pair[1](**options), 1 + retries)
        client.close()
