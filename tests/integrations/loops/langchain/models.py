"""Real chat models of LangChain, with the real SDKs below them, asking local providers."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS

if TYPE_CHECKING:
    from contextlib import ExitStack

ChatOpenAI = pytest.importorskip("langchain_openai").ChatOpenAI
ChatAnthropic = pytest.importorskip("langchain_anthropic").ChatAnthropic

WAYS = ("invoke", "ainvoke", "stream", "astream")
BATCHES = ("batch", "abatch")
_MADE = itertools.count()


def _own(timeout: float) -> float:
    """Return a timeout no model had before: LangChain keeps clients by address and timeout, and ports come again."""
    return timeout + next(_MADE) / 1_000_000


class Bench:
    """Local providers and the models that ask them; one event loop, since LangChain keeps its clients' connections."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.servers: list[LocalProvider] = []
        self.loop = asyncio.new_event_loop()
        stack.callback(self.loop.close)
        stack.callback(lambda: self.loop.run_until_complete(self.loop.shutdown_asyncgens()))

    def openai(self, *answers: Answer, model: str = "gpt-5.5", retries: int = 0, timeout: float = 30) -> Any:
        """Return a model at a provider of its own, which speaks as OpenAI does."""
        server = self._serve("openai", answers)
        options: dict[str, Any] = {"base_url": server.base_url, "api_key": KEYS["openai"]}
        return ChatOpenAI(model=model, max_retries=retries, timeout=_own(timeout), **options)

    def anthropic(self, *answers: Answer, model: str = "claude-opus-4-7", timeout: float = 30) -> Any:
        """Return a model at a provider of its own, which speaks as Anthropic does."""
        server = self._serve("anthropic", answers)
        options: dict[str, Any] = {"base_url": server.base_url, "api_key": KEYS["anthropic"], "timeout": _own(timeout)}
        return ChatAnthropic(model_name=model, max_retries=0, **options)

    def _serve(self, kind: Any, answers: tuple[Answer, ...]) -> LocalProvider:
        server = self._stack.enter_context(LocalProvider(kind, *answers))
        self.servers.append(server)
        return server

    @property
    def asked(self) -> list[list[int | None]]:
        """What each provider answered, in the order the providers were made."""
        return [[served.status for served in server.log] for server in self.servers]

    def ask(self, runnable: Any, given: Any = "hello", way: str = "invoke", **options: Any) -> Any:
        """Ask in one of LangChain's ways; return the text, or the exception that left."""
        try:
            if way in WAYS[:1] + BATCHES[:1]:
                return _text(getattr(runnable, way)(given, **options))
            if way == "stream":
                return "".join(map(_text, runnable.stream(given, **options)))
            return self.loop.run_until_complete(_awaited(runnable, given, way, options))
        except Exception as problem:  # noqa: BLE001 - whatever leaves is what a test looks at
            return problem


async def _awaited(runnable: Any, given: Any, way: str, options: dict[str, Any]) -> Any:
    if way == "astream":
        return "".join([_text(chunk) async for chunk in runnable.astream(given, **options)])
    return _text(await getattr(runnable, way)(given, **options))


def _text(answer: Any) -> Any:
    if isinstance(answer, list):
        return [_text(each) for each in answer]
    content = getattr(answer, "content", answer)
    if isinstance(content, list):
        return "".join(part if isinstance(part, str) else part.get("text", "") for part in content)
    return content
