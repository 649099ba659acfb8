"""A pass of a loop in which much happens, again and again, each time with a fault in another function of ours.

For a process of its own, where our failures are not raised.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import anthropic
import openai
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from otel_failover import Candidate, FailoverInstrumentor, failover_run
from otel_failover._core import failsafe
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.faults import Place, Watched, planted, watch
from tests.support.same import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGES: Any = [{"role": "user", "content": "Hello?"}]
EXPORTER, PROVIDER = InMemorySpanExporter(), TracerProvider()
PROVIDER.add_span_processor(SimpleSpanProcessor(EXPORTER))
TRACER = PROVIDER.get_tracer("application")


class Said(logging.Handler):
    """Keeps what we log, with tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def told(problem: Exception) -> tuple[str, str]:
    """Return what a host sees of an exception."""
    return type(problem).__name__, masked(problem)


def fall_back(provider: LocalProvider) -> list[Any]:
    """Ask two candidates in turn, and twice without a run; return all that the host gets."""
    provider.program(Answer.error(401, "No"), Answer.ok("yes"), Answer.stream(2), Answer.stream(1, then="error"))
    found: list[Any] = []
    client = openai.OpenAI(base_url=provider.base_url, api_key="sk-local-0123456789", max_retries=0)
    with failover_run("chat", chain=["openai/m", Candidate("anthropic", "m")]) as run:
        for name in ("openai/m", "anthropic/m"):
            try:
                with run.attempt(name) as attempt:
                    with TRACER.start_as_current_span("mine") as span:
                        span.set_status(StatusCode.ERROR, "mine")
                    reply = client.chat.completions.create(model="m", messages=MESSAGES)
                    attempt.fail("no thanks")
                    found.append(reply.choices[0].message.content)
            except openai.APIError as problem:
                found.append(told(problem))
        run.skip("openai/m", reason="cooldown")
    for _ in range(2):
        try:
            chunks = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            found += [chunk.choices[0].delta.content for chunk in chunks]
        except openai.APIError as problem:
            found.append(told(problem))
    client.close()
    return found


async def stream(provider: LocalProvider) -> list[Any]:
    """Ask the other SDK, asynchronously: a stream that is served, in a run whose first candidate is refused."""
    provider.program(Answer.error(529, "Overloaded"), Answer.stream(2))
    found: list[Any] = []
    async with anthropic.AsyncAnthropic(
        base_url=provider.base_url, api_key="local-0123456789", max_retries=0
    ) as client:
        with failover_run("stream", chain=["anthropic/m", "anthropic/n"]) as run:
            for name in ("anthropic/m", "anthropic/n"):
                try:
                    with run.attempt(name):
                        ask: Any = client.messages.create
                        reply = await ask(model=name, max_tokens=5, messages=MESSAGES, stream=True)
                        found += [chunk.type async for chunk in reply]
                except anthropic.APIError as problem:
                    found.append(told(problem))
    return found


def one_pass(one: LocalProvider, other: LocalProvider) -> list[Any]:
    """Return all that a host gets of both."""
    return [fall_back(one), asyncio.run(stream(other))]


def with_us(one: LocalProvider, other: LocalProvider) -> list[Any]:
    """The same, while we are on."""
    FailoverInstrumentor().instrument(tracer_provider=PROVIDER)
    try:
        return one_pass(one, other)
    finally:
        FailoverInstrumentor().uninstrument()


def report(place: Place, one: LocalProvider, other: LocalProvider, without: list[Any]) -> dict[str, Any]:
    """Say what became of a pass with a fault in one place."""
    said, hits = Said(), [0]
    logging.getLogger("otel_failover").addHandler(said)
    failsafe.failures.clear()

    def fault() -> None:
        hits[0] += 1
        fail()

    try:
        with planted(place, fault):
            same = contextvars.Context().run(with_us, one, other) == without
    finally:
        logging.getLogger("otel_failover").removeHandler(said)
    return {
        "place": place.name,
        "hits": hits[0],
        "same": same,
        "counted": dict(failsafe.failures),
        "said": said.lines,
    }


def endings() -> Iterator[dict[str, Any]]:
    """Plant a fault in each function that runs below a guard while an attempt and its run end; say what was exported."""
    FailoverInstrumentor().instrument(tracer_provider=PROVIDER)
    for _ in range(2):
        contextvars.Context().run(end_a_run)
    seen: list[Watched] = []
    contextvars.Context().run(end_a_run, lambda end: seen.append(watch(end)))
    for place in seen[0].guarded:

        def end_badly(end: Callable[[], None], place: Place = place) -> None:
            with planted(place, fail):
                end()

        EXPORTER.clear()
        contextvars.Context().run(end_a_run, end_badly)
        yield {"place": place.name, "spans": sorted(span.name for span in EXPORTER.get_finished_spans())}


def end_a_run(ending: Callable[[Callable[[], None]], object] = lambda end: end()) -> None:
    """Let an attempt fail, and its run with it."""
    run = failover_run("chat", chain=["openai/m"]).__enter__()
    attempt = run.attempt("openai/m").__enter__()
    try:
        raise ValueError("x")
    except ValueError as problem:
        given = type(problem), problem, problem.__traceback__

    def end() -> None:
        attempt.__exit__(*given)
        run.__exit__(*given)

    ending(end)


def fail() -> None:
    """Be a bug."""
    raise RuntimeError("planted")


def say(what: str, facts: dict[str, Any]) -> None:
    """Write a line of what was found."""
    sys.stdout.write(f"{what} {json.dumps(facts)}\n")
    sys.stdout.flush()


def passes(step: int, start: int) -> Iterator[dict[str, Any]]:
    """Plant a fault in every so many of the functions that run below a guard, from one of them on."""
    with LocalProvider("openai") as one, LocalProvider("anthropic") as other:
        without = one_pass(one, other)
        for _ in range(2):  # what is made once and kept is made then
            contextvars.Context().run(with_us, one, other)
        ran = watch(lambda: contextvars.Context().run(with_us, one, other))
        yield {"guarded": len(ran.guarded), "bare": [place.name for place in ran.bare]}
        for place in ran.guarded[start % step :: step]:
            yield report(place, one, other, without)
