"""Real routers of litellm's, with what they ask answered by local providers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else its import asks GitHub for prices

from packaging.version import Version

from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS, MESSAGES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import ExitStack

litellm: Any = importlib.import_module("litellm")
VERSION = Version(version("litellm"))
FALLS_BACK_MIDWAY = Version("1.106") <= VERSION
WRITES_ON_PARENTS = Version("1.106") <= VERSION
CONTINUES = Version("1.109") <= VERSION
NATIVE = Version("1.110") <= VERSION
HAS_CHECKS = Version("1.108") <= VERSION
PREFIX = {"openai": "openai", "anthropic": "anthropic", "gemini": "gemini"}


class Bench:
    """Local providers, and the deployments that ask them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        clear_callbacks()
        self.servers: list[LocalProvider] = []
        self.deployments: list[dict[str, Any]] = []

    def serve(self, kind: Any, *answers: Answer) -> LocalProvider:
        """Open a provider."""
        server = self._stack.enter_context(LocalProvider(kind, *answers, name=f"{kind}-{len(self.servers)}"))
        self.servers.append(server)
        return server

    def add(self, group: str, kind: Any, *answers: Answer, model: str = "", **params: Any) -> LocalProvider:
        """Add a deployment to a group, with a provider of its own; `id` is the host's label of it."""
        server = self.serve(kind, *answers)
        base = server.base_url if kind != "gemini" else f"{server.base_url}/v1beta/models/{model or group}"
        label = params.pop("id", None)
        given: dict[str, Any] = {"model": f"{PREFIX[kind]}/{model or group}", "api_base": base, "max_retries": 0}
        given |= {"api_key": KEYS.get(kind, KEYS["gcp.gemini"]), "timeout": 5, **params}
        self.deployments.append(
            {"model_name": group, "litellm_params": given, **({"model_info": {"id": label}} if label else {})}
        )
        return server

    def chain(self, first: Any, *others: Any) -> None:
        """Add groups `a`, `b`, `c`, each with the answers of one deployment: OpenAI's and Anthropic's in turn."""
        for group, kind, answers in zip("abc", ("openai", "anthropic", "openai"), (first, *others), strict=False):
            self.add(group, kind, *([answers] if isinstance(answers, Answer) else answers), model=f"model-{group}")

    def router(self, **options: Any) -> Any:
        """Return a router over the deployments; each falls back to the groups after the first, unless told."""
        groups = list(dict.fromkeys(each["model_name"] for each in self.deployments))
        options.setdefault("fallbacks", [{groups[0]: groups[1:]}] if groups[1:] else [])
        return litellm.Router(model_list=self.deployments, **{"num_retries": 0, **options})

    def models(self) -> dict[str, Any]:
        """Return the arguments of `completion(fallbacks=[...])` over the same deployments."""
        first, *others = (dict(each["litellm_params"]) for each in self.deployments)
        return {**first, "fallbacks": others}

    @property
    def asked(self) -> list[list[int | None]]:
        """The statuses that each provider answered with."""
        return [[served.status for served in server.log] for server in self.servers]


def outcome(work: Callable[[], Any]) -> Any:
    """Return what a synchronous call gives, a stream as its texts; or the exception."""
    try:
        result = work()
        return read(result) if not hasattr(result, "__next__") else [piece(chunk) for chunk in result]
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


async def aoutcome(work: Callable[[], Awaitable[Any]]) -> Any:
    """Return what a call gives, a stream as its texts; or the exception."""
    try:
        result = await work()
        return [piece(each) async for each in result] if hasattr(result, "__anext__") else read(result)
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run something asynchronous in a loop of its own, with what litellm logs afterwards."""
    clear_clients()

    async def whole() -> Any:
        result = await aoutcome(work)
        await settle()
        return result

    try:
        return asyncio.run(whole())
    finally:
        gc.collect()


def clear_clients() -> None:
    """Let go of clients that are bound to a loop that is over."""
    litellm.in_memory_llm_clients_cache.flush_cache()
    litellm.module_level_aclient = importlib.import_module("litellm.llms.custom_httpx.http_handler").AsyncHTTPHandler(
        timeout=5
    )


def clear_callbacks() -> None:
    """Let go of the callbacks of earlier routers: from the thirtieth on, litellm adds none, and nothing cools down."""
    for name in ("input", "success", "failure", "_async_success", "_async_failure"):
        setattr(litellm, f"{name}_callback", [])


async def settle() -> None:
    """Wait for the callbacks of the calls made so far: litellm runs them in tasks, or a worker, of its own."""
    try:
        worker = importlib.import_module("litellm.litellm_core_utils.logging_worker")
    except ImportError:
        return
    # In some releases it belongs to the first loop that it has met.
    with contextlib.suppress(RuntimeError):
        await worker.GLOBAL_LOGGING_WORKER.flush()


async def until(done: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something has happened in another task or thread, ten seconds at most."""
    for _ in range(int(seconds * 100)):
        if done():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


def read(result: Any) -> str:
    """Return an answer's text."""
    return str(result.choices[0].message.content)


def piece(chunk: Any) -> str:
    """Return a chunk's text."""
    return str(chunk.choices[0].delta.content or "")


def ways(router: Any, group: str = "a", **options: Any) -> dict[str, Callable[[], Any]]:
    """Return the ways to ask a router, each of which gives a text, a list of texts, or an exception."""

    def ask(**more: Any) -> Any:
        return router.completion(group, list(MESSAGES), **options, **more)

    def aask(**more: Any) -> Any:
        return router.acompletion(group, list(MESSAGES), **options, **more)

    async def inside() -> Any:
        return ask()

    return {
        "sync": lambda: outcome(ask),
        "async": lambda: run(aask),
        "sync in a loop": lambda: run(inside),
        "stream": lambda: outcome(lambda: ask(stream=True)),
        "async stream": lambda: run(lambda: aask(stream=True)),
    }


WAYS = ("sync", "async", "sync in a loop", "stream", "async stream")
