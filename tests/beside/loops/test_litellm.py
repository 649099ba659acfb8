"""litellm's router and its `completion(fallbacks=...)` beside litellm's own telemetry, old and new, and that of others."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import ExitStack, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("litellm")

from tests.beside.chains import FEW, MIDWAY, OPENAI, Path, shown
from tests.integrations.loops.litellm.bench import WAYS, Bench, aoutcome, clear_clients, litellm, outcome, settle, until
from tests.support.hosts import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.beside.counting import Beside

STREAMS = ("stream", "async stream")


class Told:
    """Counts what a callback has written: litellm runs it in tasks and threads of its own."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.successes = self.failures = 0

    async def async_log_success_event(self, *args: Any, **options: Any) -> None:
        try:
            await super().async_log_success_event(*args, **options)  # type: ignore[misc]
        finally:
            self.successes += 1

    def log_success_event(self, *args: Any, **options: Any) -> None:
        try:
            super().log_success_event(*args, **options)  # type: ignore[misc]
        finally:
            self.successes += 1

    async def async_log_failure_event(self, *args: Any, **options: Any) -> None:
        try:
            await super().async_log_failure_event(*args, **options)  # type: ignore[misc]
        finally:
            self.failures += 1

    def log_failure_event(self, *args: Any, **options: Any) -> None:
        try:
            super().log_failure_event(*args, **options)  # type: ignore[misc]
        finally:
            self.failures += 1


def old(beside: Beside) -> Any:
    """Return litellm's callback in its default form."""
    module: Any = importlib.import_module("litellm.integrations.opentelemetry")
    kind = type("Old", (Told, module.OpenTelemetry), {})
    config = module.OpenTelemetryConfig(exporter=beside.exporter)
    return kind(config=config, tracer_provider=beside.provider)


def new(beside: Beside) -> Any:
    """Return the one that `LITELLM_OTEL_V2` turns on."""
    module = pytest.importorskip("litellm.integrations.otel.logger")
    kind = type("New", (Told, module.OpenTelemetryV2), {})
    return kind(tracer_provider=beside.provider)


def none(beside: Beside) -> Any:
    """Return no callback of its own: what others make of its calls."""
    beside.needs("litellm", "openai")
    return importlib.import_module("litellm.integrations.custom_logger").CustomLogger()


LISTS = [
    name
    for name in vars(litellm)
    if name.endswith(("_callback", "callbacks"))
    and not name.startswith("_known")
    and isinstance(vars(litellm)[name], list)
]
"""Where litellm keeps what it tells: each router adds to them, and at a hundred litellm tells nobody new."""
TELEMETRY = {"none": none, "old": old, "new": new}


@pytest.fixture(params=TELEMETRY)
def callback(beside: Beside, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register it with litellm."""
    found = TELEMETRY[request.param](beside)
    if request.param == "new" and "async" not in request.node.callspec.params["way"]:
        pytest.skip("it tells of asynchronous calls only")
    for each in LISTS:
        monkeypatch.setattr(litellm, each, [found] if each == "callbacks" else [])
    clear_clients()
    return found


def ask(path: Path, way: str, callback: Any, around: Any = None, **options: Any) -> Any:
    """Ask a router over two groups, in one of several ways."""
    with ExitStack() as stack:
        bench = bench_of(stack, path)
        router = bench.router(**options)
        asked = {"model": "a", "messages": list(MESSAGES), "stream": "stream" in way}
        with around or nullcontext():
            return done(way, lambda: router.completion(**asked), lambda: router.acompletion(**asked), callback)


def bench_of(stack: ExitStack, path: Path) -> Bench:
    bench = Bench(stack)
    bench.add("a", "openai", *path.first, model="model-a", max_retries=path.retries)
    bench.add("b", "anthropic", *path.second, model="model-b")
    return bench


def done(way: str, ask: Callable[[], Any], aask: Callable[[], Any], callback: Any) -> Any:
    """Ask, and wait until the callback has written of the answer, or of a failure, if there is one to write of."""
    before = (callback.successes, callback.failures) if isinstance(callback, Told) else None

    async def told(said: Any) -> None:
        if before is None:
            return
        if not isinstance(said, Exception):
            await until(lambda: callback.successes > before[0])
            return
        with suppress(TimeoutError):  # litellm does not tell of every failure
            await until(lambda: callback.failures > before[1], seconds=2)

    async def whole() -> Any:
        said = outcome(ask) if way == "sync in a loop" else await aoutcome(aask)
        await told(said)
        await settle()
        return said

    if "async" in way or way == "sync in a loop":
        clear_clients()
        return shown(asyncio.run(whole()))
    said = outcome(ask)
    asyncio.run(told(said))
    return shown(said)


@pytest.mark.parametrize("way", ["sync", "async stream"])
@pytest.mark.parametrize("path", OPENAI)
def test_routers(beside: Beside, callback: Any, path: str, way: str) -> None:
    beside.honest(lambda: ask(OPENAI[path], way, callback))


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("sync", "async stream")])
@pytest.mark.parametrize("path", FEW)
def test_routers_asked_in_other_ways(beside: Beside, callback: Any, path: str, way: str) -> None:
    beside.honest(lambda: ask(OPENAI[path], way, callback))


@pytest.mark.parametrize("way", STREAMS)
@pytest.mark.parametrize("path", MIDWAY)
def test_streams_that_fail_midway(beside: Beside, callback: Any, path: str, way: str) -> None:
    beside.honest(lambda: ask(MIDWAY[path], way, callback))


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("path", ["a retry serves", "second serves after a retry"])
def test_routers_that_retry(beside: Beside, callback: Any, path: str, way: str) -> None:
    found = Path(OPENAI[path].first)
    beside.honest(lambda: ask(found, way, callback, num_retries=1, retry_after=0))


@pytest.mark.parametrize("way", ["async"])
@pytest.mark.parametrize("path", OPENAI)
def test_in_a_request(beside: Beside, callback: Any, path: str, way: str) -> None:
    """The old callback writes on the request's own span: the second one's answer, and the first one's error.

    Where another instrumentation traces litellm, its span is the one that is current, and each call has its own.
    """
    late = path.startswith("second serves") or path == "a retry serves"  # litellm's asynchronous calls retry nothing
    lies = late and type(callback).__name__ == "Old" and "litellm" not in beside.members
    lying = ("request",) if lies else ()
    beside.honest(lambda: ask(OPENAI[path], way, callback, beside.tracer.start_as_current_span("request")), lying=lying)


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("path", FEW)
def test_completion_with_fallbacks(beside: Beside, callback: Any, path: str, way: str) -> None:
    told = callback if way == "async" else None  # of a synchronous one it tells in a loop that is over, or nothing

    def work() -> Any:
        with ExitStack() as stack:
            asked = {**bench_of(stack, OPENAI[path]).models(), "messages": MESSAGES}
            return done(way, lambda: litellm.completion(**asked), lambda: litellm.acompletion(**asked), told)

    beside.honest(work, some=told is not None and path != "both fail")
