"""Honest loops over real SDKs, as people write them: what candidates answer, how they are asked, where."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, Kind, LocalProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.beside.counting import Beside

OK: Final = Answer.ok("Hello there")
STREAM: Final = Answer.stream(["Hel", "lo ", "there"])
REFUSED: Final = "refused"
"""In the place of an answer: nobody listens."""

PLACES: Final = ("attempts", "bare", "outside")
"""Where a loop's calls are made: each in an attempt of a run, in a run alone, in neither."""


@dataclass(frozen=True)
class Sdk:
    """One SDK: how it is opened, asked, and what errors its provider answers with.

    Args:
        name: As neighbours call it.
        kind: The wire format of its local provider.
        provider: Whose name a candidate has.
        model: What is asked for.
        open: Makes a client, synchronous or not: of a local provider, seconds to wait, retries, who is beside, which.
        ways: How it is asked for a whole answer, by name; the first one is the commonest.
        streams: How it is asked for a stream.
        errors: Its provider's errors, by name.
        tool: The body of an answer that calls a tool.
        is_async: Whether it has an asynchronous client.
    """

    name: str
    kind: Kind
    provider: str
    model: str
    open: Callable[[LocalProvider, float, int, Beside, bool], Any]
    ways: dict[str, Callable[[Any, str], Any]]
    streams: dict[str, Callable[[Any, str], Any]]
    errors: dict[str, Answer]
    tool: Answer = OK
    is_async: bool = True

    def at(self, provider: str, model: str) -> Sdk:
        """Return the same SDK at somebody else's endpoint."""
        return replace(self, provider=provider, model=model)


@dataclass(frozen=True)
class Scene:
    """What two candidates answer.

    Args:
        first: Answers of the first candidate; names are errors of its SDK.
        second: Answers of the second one.
        retries: That the SDK makes by itself.
        again: How often the loop tries the first candidate.
        timeout: Seconds to wait for an answer.
    """

    first: tuple[Any, ...]
    second: tuple[Any, ...] = (OK,)
    retries: int = 0
    again: int = 1
    timeout: float = 20.0


SCENES: Final = {
    "first serves": Scene((OK,)),
    "second serves after no quota": Scene(("quota",)),
    "second serves after a rate limit": Scene(("rate limit",)),
    "second serves after 404": Scene(("not found",)),
    "second serves after a bad key": Scene(("bad key",)),
    "second serves after 500": Scene(("server error",)),
    "second serves after overload": Scene(("overloaded",)),
    "second serves after a timeout": Scene((Answer.hang(),), timeout=0.3),
    "second serves after a reset": Scene((Answer.reset(),)),
    "second serves after a refusal": Scene((REFUSED,)),
    "second serves after a gateway's page": Scene((Answer.raw(502, "<html>Bad Gateway</html>"),)),
    "all fail": Scene(("quota",), ("overloaded",)),
    "all fail alike": Scene(("rate limit",), ("rate limit",)),
    "all time out": Scene((Answer.hang(),), (Answer.hang(),), timeout=0.3),
    "429, then nobody answers": Scene(("quota",), (Answer.hang(),), timeout=0.3),
    "retried, then served": Scene(("server error", OK), retries=1),
    "retried in vain": Scene(("rate limit", "overloaded"), retries=1),
    "a timeout after a retry": Scene(("rate limit", Answer.hang()), retries=1, timeout=0.3),
    "asked again by hand, then served": Scene(("overloaded", OK), again=2),
    "asked again by hand in vain": Scene(("overloaded", "quota"), again=2),
    "a tool is called": Scene(("quota",), ("tool",)),
}

STREAMED: Final = {
    "first serves": Scene((STREAM,)),
    "second serves after no quota": Scene(("quota",), (STREAM,)),
    "failed midway": Scene((Answer.stream(["Hel", "lo "], then="error"),), (STREAM,)),
    "cut midway": Scene((Answer.stream(["Hel", "lo "], then="cut"),), (STREAM,)),
    "truncated midway": Scene((Answer.stream(["Hel", "lo "], then="truncate"),), (STREAM,)),
    "all fail midway": Scene((Answer.stream(["Hel"], then="error"),), (Answer.stream(["Hel"], then="cut"),)),
    "silent midway": Scene((Answer.stream(["Hel"], then="hang"),), (STREAM,), timeout=0.3),
}

_FRESH: Final = re.compile(
    r"cancel scope \w+|\b(chatcmpl|resp|msg|req|rs|fc|call)[-_][\w-]+|0x[0-9a-f]+|127\.0\.0\.1'?(:|, |, port=)\d+|\d{10}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+|\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT|'(x-)?\w*latency\w*': '?[\d.]+'?"
    r"|(response_id|responseId|RequestId|requestid)\W+[\w-]+|created_at=[\d.]+"
)


def same(thing: object) -> str:
    """Return a thing's text without what is new with every request."""
    found = thing.model_dump() if hasattr(thing, "model_dump") else thing
    return _FRESH.sub("*", str(found))


def told(problem: BaseException | None) -> Any:
    """Return what a handler sees of an exception, its causes included."""
    if problem is None:
        return None
    return type(problem), same(problem), sorted(vars(problem)), told(problem.__cause__), problem.__suppress_context__


@dataclass
class Stand:
    """One candidate, its local provider and its client."""

    sdk: Sdk
    candidate: Candidate
    server: LocalProvider
    client: Any


@dataclass
class Loop:
    """One fallback loop over two candidates.

    Args:
        beside: Who is on.
        chain: The SDKs of its candidates.
        scene: What they answer.
        place: One of `PLACES`.
        way: How they are asked: a name in `Sdk.ways` or, where `how` is given, in `Sdk.streams`; None is the first.
        how: How a stream is read: `consumed`, `dropped`, `closed`, `late` (when the attempt has been left).
        outcomes: What the host sees, call by call.
    """

    beside: Beside
    chain: tuple[Sdk, Sdk]
    scene: Scene
    place: str = "attempts"
    way: str | None = None
    how: str | None = None
    outcomes: list[Any] = field(default_factory=list)

    def run(self) -> Any:
        """Go through the candidates once; return what the host sees, and what each provider was asked."""
        with ExitStack() as stack:
            stands = [self.stand(stack, index, asynchronous=False) for index in (0, 1)]
            with self._running(stands) as attempt:
                for each in self._order(stands):
                    if self._try(each, attempt):
                        break
            found = self._seen(stands)
        if self.how == "dropped":
            gc.collect()
        return found

    def arun(self) -> Any:
        """The same with asynchronous clients, in a loop of its own."""
        return asyncio.run(self.go())

    async def go(self) -> Any:
        """The same where an event loop runs."""
        async with AsyncExitStack() as stack:
            stands = [self.stand(stack, index, asynchronous=True) for index in (0, 1)]
            for each in stands:
                stack.push_async_callback(_aclose, each.client)
            with self._running(stands) as attempt:
                for each in self._order(stands):
                    if await self._atry(each, attempt):
                        break
            found = self._seen(stands)
        if self.how == "dropped":
            gc.collect()
        return found

    def _order(self, stands: list[Stand]) -> list[Stand]:
        return [*[stands[0]] * self.scene.again, stands[1]]

    @contextlib.contextmanager
    def _running(self, stands: list[Stand]) -> Iterator[Callable[[Stand], Any]]:
        if self.place == "outside":
            self.beside.infers = True
            yield lambda _: contextlib.nullcontext()
            return
        with failover_run("chat", chain=[each.candidate for each in stands]) as run:
            yield (lambda each: run.attempt(each.candidate)) if self.place == "attempts" else _nowhere

    def _try(self, each: Stand, attempt: Callable[[Stand], Any]) -> bool:
        try:
            with attempt(each):
                result = self._ask(each)
                if self.how not in (None, "late"):
                    result = _read(result, self.how or "")
            self.outcomes.append(same(_read(result, "consumed") if self.how == "late" else result))
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            self.outcomes.append(told(problem))
            return False
        return True

    async def _atry(self, each: Stand, attempt: Callable[[Stand], Any]) -> bool:
        try:
            with attempt(each):
                result = await _whole(self._ask(each))
                if self.how not in (None, "late"):
                    result = await _aread(result, self.how or "")
            self.outcomes.append(same(await _aread(result, "consumed") if self.how == "late" else result))
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            self.outcomes.append(told(problem))
            return False
        return True

    def _ask(self, each: Stand) -> Any:
        ways = each.sdk.ways if self.how is None else each.sdk.streams
        way = ways.get(self.way or "") or next(iter(ways.values()))
        return way(each.client, each.candidate.model)

    def stand(self, stack: Any, index: int, *, asynchronous: bool) -> Stand:
        sdk = self.chain[index]
        answers = self.scene.second if index else self.scene.first
        server = stack.enter_context(LocalProvider(sdk.kind, *_answers(sdk, answers), name=f"{sdk.provider} {index}"))
        candidate = Candidate(sdk.provider, f"{sdk.model}{'-mini' if index else ''}", server.endpoint)
        client = sdk.open(server, self.scene.timeout, self.scene.retries, self.beside, asynchronous)
        if not asynchronous and hasattr(client, "close"):
            stack.callback(client.close)
        if REFUSED in answers:
            server.close()
        return Stand(sdk, candidate, server, client)

    def _seen(self, stands: list[Stand]) -> Any:
        asked = [[(e.method, e.path, e.body, e.status) for e in each.server.log] for each in stands]
        outcomes, self.outcomes = self.outcomes, []
        return outcomes, asked


def _nowhere(_: Stand) -> Any:
    return contextlib.nullcontext()


def _answers(sdk: Sdk, given: tuple[Any, ...]) -> list[Answer]:
    named = {**sdk.errors, "tool": sdk.tool}
    return [named[each] if isinstance(each, str) else each for each in given if each != REFUSED]


async def _aclose(client: Any) -> None:
    await (client.close if hasattr(client, "close") else client.aclose)()


async def _whole(asked: Any) -> Any:
    """Await what is awaited; the helpers that make streams are not."""
    return await asked if hasattr(asked, "__await__") else asked


def _read(stream: Any, how: str) -> Any:
    """Read a stream as a host may; some are made by a manager."""
    if not hasattr(stream, "__next__") and not hasattr(stream, "__iter__"):
        with stream as opened:
            return _read(opened, how)
    if how == "consumed":
        return [same(chunk) for chunk in stream]
    first = same(next(iter(stream)))
    if how == "closed" and hasattr(stream, "close"):
        stream.close()
    return first


async def _aread(stream: Any, how: str) -> Any:
    if not hasattr(stream, "__aiter__"):
        async with stream as opened:
            return await _aread(opened, how)
    if how == "consumed":
        return [same(chunk) async for chunk in stream]
    first = same(await _first(stream))
    if how == "closed":
        await (stream.aclose if hasattr(stream, "aclose") else stream.close)()
    return first


async def _first(stream: AsyncIterator[Any]) -> Any:
    return await anext(aiter(stream))
