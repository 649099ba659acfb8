"""Honest failures of every kind, through every loop: which share of the failed candidates is `verified`.

`python -m tests.truth.honest_failures` prints the table of `docs/limits.md` for what is installed, or for the loops that
are named behind it.
"""

from __future__ import annotations

import contextvars
import gc
import importlib
import json
import logging
import sys
import warnings
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_failover import FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer
from tests.core.summary.loop_failures import DOES, HANGS, LOOPS, Loop
from tests.support.hosts import LoopError, stand
from tests.support.spans import SerialisingExporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.spans import Exported

PAGE: Final = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n<center><h1>502 Bad Gateway</h1></center>\n</body>\n</html>\n"  # fmt: skip


def _by(openai: Answer, anthropic: Answer, gemini: Answer | None = None) -> Callable[[str], Answer]:
    return lambda kind: {"anthropic": anthropic, "gemini": gemini or openai}.get(kind, openai)


def _any(answer: Answer) -> Callable[[str], Answer]:
    return lambda _: answer


WHOLE: Final[dict[str, Callable[[str], Answer]]] = {
    "401": _by(Answer.openai_bad_key(), Answer.anthropic_bad_key(), Answer.gemini_bad_key()),
    "402": _any(Answer.error(402, "Insufficient Balance", code="insufficient_balance")),
    "403": _by(
        Answer.error(403, "Country, region, or territory not supported", code="unsupported_country_region_territory"),
        Answer.error(403, "Your API key does not have permission to use the specified resource."),
    ),
    "404": _by(Answer.openai_model_not_found(), Answer.anthropic_not_found(), Answer.gemini_not_found()),
    "429": _by(Answer.openai_rate_limit(), Answer.anthropic_rate_limit()),
    "no quota": _by(Answer.openai_quota(), Answer.anthropic_credit_too_low(), Answer.gemini_quota()),
    "500": _by(Answer.openai_server_error(), Answer.error(500, "Internal server error", type="api_error")),
    "503": _by(Answer.error(503, "The engine is currently overloaded"), Answer.anthropic_overloaded()),
    "529": _any(Answer.anthropic_overloaded()),
    "503 without a body": _any(Answer.raw(503, b"")),
    "500 with an empty object": _any(Answer.raw(500, "{}", content_type="application/json")),
    "a gateway's page": _any(Answer.raw(502, PAGE)),
    "a proxy's line": _any(Answer.raw(500, "upstream connect error or disconnect/reset before headers")),
    "a validation error": _any(
        Answer.raw(422, json.dumps({"detail": [{"msg": "field required"}]}), content_type="application/json")
    ),
    "context overflow": _by(
        Answer.openai_context_overflow(), Answer.error(400, "prompt is too long: 207310 tokens > 200000 maximum")
    ),
    "content policy": _by(
        Answer.error(400, "The response was filtered due to our content policy", code="content_filter"),
        Answer.error(400, "Output blocked by content filtering policy"),
    ),
    "a timeout": _any(Answer.hang()),
    "a reset": _any(Answer.reset()),
    "a page in a 200": _any(Answer.raw(200, "<html><body>please log in</body></html>")),
    "an empty answer": _any(Answer.ok("")),
}
"""What a candidate does that fails at once, by the word for it."""

STREAMED: Final[dict[str, Callable[[str], Answer]]] = {
    "an error event": _any(Answer.stream(["Hel", "lo "], then="error")),
    "an error event at once": _any(Answer.stream([], then="error", message="The engine fell over before it began")),
    "a cut stream": _any(Answer.stream(["Hel", "lo "], then="cut")),
    "a truncated stream": _any(Answer.stream(["Hel", "lo "], then="truncate")),
    "a silent stream": _any(Answer.stream(["Hel"], then="hang")),
}
"""What fails midway, where a stream is asked for."""

DOES.update({**WHOLE, **STREAMED})
HANGS.update({"a timeout", "a silent stream"})

_ITS_OWN_WORDS: Final = "the library's own sentence about an answer that it could not use"
EXPLAINED: Final[dict[tuple[str, str], str]] = {
    ("pydantic-ai", "a page in a 200"): _ITS_OWN_WORDS,
    ("langchain's fallbacks", "a page in a 200"): _ITS_OWN_WORDS,
    ("langchain's agents", "a page in a 200"): _ITS_OWN_WORDS,
    ("haystack", "a page in a 200"): _ITS_OWN_WORDS,
    ("litellm's router", "a page in a 200"): _ITS_OWN_WORDS,
    ("livekit", "an error event"): "it says 'Connection error.' of whatever ends a stream",
    ("livekit", "an error event at once"): "it says 'Connection error.' of whatever ends a stream",
    ("litellm's fallbacks", "a page in a 200"): "its synchronous stream of an asynchronous one fails by a traceback",
    ("litellm's fallbacks", "an empty answer"): "its synchronous stream of an asynchronous one fails by a traceback",
}
"""What is `unverified` though the evidence is complete, and why: nothing in it is a provider's."""


# --- loops that are not in the table ----------------------------------------------------------------------------------


def _pydantic_ai(stack: ExitStack, way: str, chains: tuple[tuple[str, str], ...]) -> list[Any]:
    models = importlib.import_module("tests.integrations.loops.pydantic_ai.models")
    bench, found = models.Bench(stack), []
    for first, second in chains:
        pair = [
            make(DOES[word](kind), timeout=0.5 if word in HANGS else 30)
            for make, kind, word in ((bench.openai, "openai", first), (bench.anthropic, "anthropic", second))
        ]
        found.append(getattr(bench, way)(models.FallbackModel(*pair)))
    return found


def _fails(attempt: Any, problem: Exception) -> None:
    attempt.fail(str(problem))


def _raises(make: Callable[[Exception, str], Exception]) -> Callable[[Any, Exception], None]:
    def carry(attempt: Any, problem: Exception) -> None:
        raise make(problem, attempt.provider) from problem

    return carry


CARRIED: Final[dict[str, Callable[[Any, Exception], None]]] = {
    "the object": lambda _, problem: (_ for _ in ()).throw(problem),
    "its text": _raises(lambda problem, _: LoopError(str(problem))),
    "behind a name": _raises(lambda problem, name: LoopError(f"{name} failed: {problem}")),
    "behind its class": _raises(lambda problem, _: LoopError(f"{type(problem).__name__}: {problem}")),
    "cut": _raises(lambda problem, _: LoopError(f"{str(problem)[:80]}…" if len(str(problem)) > 80 else str(problem))),
    "by `fail`": _fails,
    "the object by `fail`": lambda attempt, problem: attempt.fail(problem),
}
"""How a loop by hand carries an error out of an attempt."""


def _by_hand(stack: ExitStack, way: str, chains: tuple[tuple[str, str], ...]) -> list[Any]:
    for chain in chains:
        stands = [
            stack.enter_context(stand(provider, DOES[word](provider), timeout=0.3))
            for provider, word in zip(("openai", "anthropic"), chain, strict=True)
        ]
        with failover_run("chat", chain=[each.candidate for each in stands]) as run:
            for each in stands:
                with suppress(Exception), run.attempt(each.candidate) as attempt:
                    try:
                        each.ask()
                    except Exception as problem:  # noqa: BLE001 - whatever it is, it is carried
                        CARRIED[way](attempt, problem)
    return []


EVERY: Final[dict[str, Loop]] = {
    **LOOPS,
    "pydantic-ai": Loop(_pydantic_ai, "pydantic_ai", ("ask", "stream"), (), streams=("stream",)),
    "by hand": Loop(_by_hand, "openai", tuple(CARRIED), ()),
}
"""Every loop, by name."""


# --- counting ---------------------------------------------------------------------------------------------------------


class Share(NamedTuple):
    """What became of the failed candidates of one loop whose evidence is complete.

    Args:
        failed: How many there were.
        doubted: Which of them were not `verified`: in which way, what they did, their verdict and rule.
    """

    failed: int
    doubted: list[tuple[str, str, str, str]]

    def unexplained(self, name: str) -> list[tuple[str, str, str, str]]:
        """Return those of a loop for which nothing is said under `EXPLAINED`."""
        return [each for each in self.doubted if (name, each[1]) not in EXPLAINED]


def chains_of(loop: Loop, way: str) -> list[tuple[str, str]]:
    """Return chains in which each kind of failure is the first candidate's once, and the second's once."""
    kinds = [*WHOLE, *(STREAMED if way in loop.streams else ())]
    return [(kind, kinds[(at + 7) % len(kinds)]) for at, kind in enumerate(kinds)]


def share_of(loop: Loop) -> Share:
    """Ask a loop in every way, with every failure, and count."""
    exporter, provider = SerialisingExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    failed, doubted = 0, []
    for way in loop.ways:
        for chain in chains_of(loop, way):
            for span in _candidates(loop, way, chain, provider, exporter):
                if span["failover.evidence"] != "complete" or span["candidate.outcome"] == "success":
                    continue
                failed += 1
                if span.verdict != ("verified", None):
                    doubted.append((way, chain[span["candidate.index"]], str(span.verdict[0]), str(span.verdict[1])))
    provider.shutdown()
    return Share(failed, doubted)


def _candidates(
    loop: Loop, way: str, chain: tuple[str, str], provider: TracerProvider, exporter: SerialisingExporter
) -> list[Exported]:
    exporter.spans.clear()
    FailoverInstrumentor().instrument(tracer_provider=provider)
    try:
        with ExitStack() as stack:
            contextvars.copy_context().run(loop.fail, stack, way, (chain,))
        gc.collect()
    finally:
        FailoverInstrumentor().uninstrument()
    assert [span for span in exporter.spans if span["failover.library"] == "inferred"] == [], "a run within a run"
    return [span for span in exporter.spans if span.name.startswith("candidate ")]


def installed() -> dict[str, Loop]:
    """Return the loops whose libraries are installed."""
    found = {}
    for name, loop in EVERY.items():
        with suppress(ImportError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(loop.needs)
            found[name] = loop
    return found


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    chosen = sys.argv[1:]
    for title, each in installed().items():
        if chosen and title not in chosen:
            continue
        counted = share_of(each)
        print(  # noqa: T201 - it is what this is run for
            f"| {title} | {counted.failed} | {counted.failed - len(counted.doubted)} | "
            f"{', '.join(sorted({kind for _, kind, _, _ in counted.doubted}))} |",
            flush=True,
        )
