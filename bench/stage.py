"""What every contender is asked to do: an OpenAI client that answers from memory, and where spans and metrics go.

No server here, and only here: what is measured is our own work, not a network's. Bodies and headers are OpenAI's; every
answer has an id of its own, so that what grows with the number of answers would be seen to grow.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import openai
from opentelemetry.metrics import get_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import get_tracer_provider

from otel_failover import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

MODEL: Final = "gpt-4o-mini"
CHUNKS: Final = 22
FIRST: Final = Candidate("openai", MODEL, "https://api.openai.com", "default")
SECOND: Final = Candidate("gcp.gemini", "gemini-2.5-flash", "https://generativelanguage.googleapis.com")
CHAIN: Final = (FIRST,)
"""A chain of one: a run, a candidate and a call are exactly three spans, and no finding comes on top."""

_MESSAGES: Final[Any] = [{"role": "user", "content": "Say this is a test"}]
_HEADERS: Final = {
    "openai-organization": "org-local",
    "openai-processing-ms": "312",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "199992",
    "x-ratelimit-reset-requests": "8.64s",
    "x-ratelimit-reset-tokens": "2ms",
    "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
    "x-content-type-options": "nosniff",
    "server": "cloudflare",
}
_KEY: Final = "sk-proj-0123456789abcdefghijklmn"
_numbers: Final = itertools.count(1)


# --- the provider -----------------------------------------------------------------------------------------------------


def _http() -> Any:
    """Return the HTTP library that the installed SDK is built on: httpx up to openai 2, httpx2 since 3."""
    base = next(cls for cls in openai.DefaultHttpxClient.__mro__[1:] if cls.__module__.startswith("httpx"))
    return importlib.import_module(base.__module__.partition(".")[0])


def _headers(number: int, kind: str) -> dict[str, str]:
    return {**_HEADERS, "content-type": kind, "x-request-id": f"req_{number:032x}"}


_ID: Final = b"%028d"
"""Where a body's own number goes: bodies are encoded beforehand, so that encoding them is measured nowhere."""


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode().replace(b"%", b"%%").replace(b"%" + _ID, _ID)


_ANSWER: Final = _encoded(
    {
        "id": f"chatcmpl-{_ID.decode()}",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": f"{MODEL}-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "This is a test.", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
        "service_tier": "default",
        "system_fingerprint": "fp_local",
    }
)


def _answer(http: Any, _: Any) -> Any:
    """A short success."""
    number = next(_numbers)
    return http.Response(200, headers=_headers(number, "application/json"), content=_ANSWER % number)


_ANSWER_OF_SECOND: Final = _ANSWER.replace(f"{MODEL}-2024-07-18".encode(), SECOND.model.encode())


def _answer_of_second(http: Any, _: Any) -> Any:
    """The second candidate's."""
    number = next(_numbers)
    return http.Response(200, headers=_headers(number, "application/json"), content=_ANSWER_OF_SECOND % number)


_LIMIT: Final = (
    f"Rate limit reached for {MODEL} in organization org-local on tokens per min (TPM): Limit 200000, Used 1%d, "
    "Requested 312. Please try again in %dms. Visit https://platform.openai.com/account/rate-limits to learn more."
)


def _refusal(http: Any, _: Any) -> Any:
    """OpenAI's answer to an account that is over its limit: the numbers in it differ each time."""
    number = next(_numbers)
    error = {"message": _LIMIT % (number, number), "type": "tokens", "param": None, "code": "rate_limit_exceeded"}
    content = json.dumps({"error": error}, indent=4).encode()
    return http.Response(429, headers=_headers(number, "application/json"), content=content)


def _chunk(place: int, chunks: int) -> bytes:
    """Return one event, its number left open."""
    last = place == chunks - 1
    delta = {} if last else {"content": f"word{place} "}
    chunk = {
        "id": f"chatcmpl-{_ID.decode()}",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": f"{MODEL}-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_local",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": "stop" if last else None}],
    }
    return b"data: " + _encoded(chunk) + b"\n\n"


def _streamed(chunks: int) -> Callable[[Any, Any], Any]:
    """Return a provider that streams so many chunks, each arriving by itself."""
    templates = [_chunk(place, chunks) for place in range(chunks)]

    def events(number: int) -> Iterator[bytes]:
        for template in templates:
            yield template % number
        yield b"data: [DONE]\n\n"

    def handler(http: Any, _: Any) -> Any:
        number = next(_numbers)
        return http.Response(200, headers=_headers(number, "text/event-stream"), content=events(number))

    return handler


def _silence(http: Any, request: Any) -> Any:
    """No answer in time."""
    raise http.ReadTimeout("timed out", request=request)


def client_of(handler: Callable[[Any, Any], Any], endpoint: str = "https://api.openai.com/v1") -> openai.OpenAI:
    """Return a client whose requests a function answers; one try per call.

    Args:
        handler: Takes the HTTP library and the request, returns the response.
        endpoint: The base URL.
    """
    return openai.OpenAI(api_key=_KEY, base_url=endpoint, max_retries=0, http_client=http_of(handler))


def async_client_of(*, refuses: bool, endpoint: str = "https://api.openai.com/v1") -> openai.AsyncOpenAI:
    """Return a client for coroutines that is always answered, or always refused.

    Args:
        refuses: Whether it is refused.
        endpoint: The base URL.
    """
    http, handler = _http(), _refusal if refuses else _answer

    async def handle(request: Any) -> Any:
        await asyncio.sleep(0)  # as a socket would: others have their turn
        return handler(http, request)

    transport = http.MockTransport(handle)
    return openai.AsyncOpenAI(
        api_key=_KEY, base_url=endpoint, max_retries=0, http_client=http.AsyncClient(transport=transport)
    )


def http_of(handler: Callable[[Any, Any], Any]) -> Any:
    """Return a client of the HTTP library whose requests a function answers.

    Args:
        handler: Takes the HTTP library and the request, returns the response.
    """
    http = _http()
    return http.Client(transport=http.MockTransport(lambda request: handler(http, request)))


# --- the cases --------------------------------------------------------------------------------------------------------


class Asked(Protocol):
    """What a contender can be asked: something with a name that is asked without a line of instrumentation."""

    @property
    def name(self) -> str:
        """As in the table."""

    def ask(self) -> Any:
        """Ask, and read what comes to its end."""


@dataclass(frozen=True)
class Case:
    """One call.

    Args:
        name: As in the table.
        client: Who is asked.
        streamed: Whether the answer is a stream.
        model: Who is meant.
    """

    name: str
    client: openai.OpenAI
    streamed: bool = False
    model: str = MODEL

    def create(self) -> Any:
        """Ask: the one call that all contenders share."""
        if self.streamed:
            return self.client.chat.completions.create(model=self.model, messages=_MESSAGES, stream=True)
        return self.client.chat.completions.create(model=self.model, messages=_MESSAGES)

    def ask(self) -> Any:
        """Ask, and read a stream to its end."""
        found = self.create()
        if self.streamed:
            for _ in found:
                pass
        return found


@dataclass(frozen=True)
class InTurn:
    """A loop by hand over some calls, without a line of instrumentation: the next one where one fails.

    Args:
        name: As in the table.
        calls: In their order.
    """

    name: str
    calls: tuple[Case, ...]

    def ask(self) -> Any:
        """Ask one after the other, until one answers."""
        for call in self.calls:
            try:
                return call.ask()
            except openai.OpenAIError:  # noqa: PERF203 - that is what a fallback loop is
                continue
        return None


@dataclass(frozen=True)
class Posted:
    """A call by wire: a request of an HTTP library's, with no SDK.

    Args:
        name: As in the table.
        client: Of the HTTP library.
    """

    name: str
    client: Any

    def ask(self) -> Any:
        """Ask, and read the answer."""
        response = self.client.post(
            "https://api.openai.com/v1/chat/completions",
            json={"model": MODEL, "messages": _MESSAGES},
            headers={"authorization": f"Bearer {_KEY}"},
        )
        return response.json()


def success() -> Case:
    """A short answer."""
    return Case("success", client_of(_answer))


def refused() -> Case:
    """A 429 whose text differs each time, so that nothing which is remembered by its text is of use."""
    return Case("429", client_of(_refusal))


def stream(chunks: int = CHUNKS) -> Case:
    """A stream, read to its end."""
    return Case("stream", client_of(_streamed(chunks)), streamed=True)


def by_wire() -> Posted:
    """A short answer to a request of an HTTP library's."""
    return Posted("by wire", http_of(_answer))


def in_turn() -> InTurn:
    """Two candidates by hand, without a line: the first refuses, the second answers."""
    second = Case("second", client_of(_answer_of_second, f"{SECOND.endpoint}/v1beta/openai"), model=SECOND.model)
    return InTurn("in turn", (refused(), second))


def silent() -> Case:
    """The second candidate, which never answers."""
    return Case("timeout", client_of(_silence, f"{SECOND.endpoint}/v1beta/openai"), model=SECOND.model)


def refused_at(endpoint: str) -> Case:
    """A 429 of any endpoint."""
    return Case("429", client_of(_refusal, f"{endpoint}/v1"))


async def ask(client: openai.AsyncOpenAI) -> Any:
    """Ask from a coroutine.

    Args:
        client: Who is asked.
    """
    return await client.chat.completions.create(model=MODEL, messages=_MESSAGES)


def cases() -> tuple[Case, ...]:
    """Return what every contender is asked."""
    return success(), refused(), stream()


# --- telemetry --------------------------------------------------------------------------------------------------------

RECORDING: Final = "recording"
SAMPLED_OUT: Final = "sampled out"
WITHOUT_SDK: Final = "no SDK"
KINDS: Final = (RECORDING, SAMPLED_OUT, WITHOUT_SDK)


class Counting(SpanExporter):
    """Forgets spans, and keeps how many there were of each name and status; while it is asked to, the spans too."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self.kept: list[ReadableSpan] | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.seen.update((span.name, span.status.status_code.name) for span in spans)
        if self.kept is not None:
            self.kept += spans
        return SpanExportResult.SUCCESS


class Noting(SpanProcessor):
    """Counts spans as they end: where more end at once than a batch processor's queue holds."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()

    def on_end(self, span: ReadableSpan) -> None:
        """Count."""
        self.seen[span.name, span.status.status_code.name] += 1


class Telemetry:
    """An SDK as services configure it, whose exporter drops everything; or one that samples nothing, or none.

    Args:
        processors: Added behind the batch processor.
        kind: One of `KINDS`.
        batch: Whether its spans go through a batch processor; else they go where `processors` take them.
    """

    def __init__(self, *processors: SpanProcessor, kind: str = RECORDING, batch: bool = True) -> None:
        self.kind = kind
        self.exported = Counting()
        self.reader = InMemoryMetricReader()
        self._sdk: tuple[Any, ...] = ()
        if kind == WITHOUT_SDK:
            self.traces: Any = get_tracer_provider()
            self.metrics: Any = get_meter_provider()
            return
        self.traces = TracerProvider(shutdown_on_exit=False, sampler=ALWAYS_OFF if kind == SAMPLED_OUT else None)
        for processor in (*([BatchSpanProcessor(self.exported)] if batch else []), *processors):
            self.traces.add_span_processor(processor)
        self.metrics = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)
        self._sdk = self.traces, self.metrics

    def flush(self) -> None:
        """Export what waits."""
        if self._sdk:
            self.traces.force_flush()

    def counted(self) -> Iterator[tuple[str, Mapping[str, Any], float]]:
        """Yield every series that has counted something: the metric's name, its labels, its value or count."""
        data = self.reader.get_metrics_data() if self._sdk else None
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        value = getattr(point, "value", 0) or getattr(point, "count", 0)
                        if value:
                            yield metric.name, point.attributes or {}, value

    def shutdown(self) -> None:
        """Stop its threads."""
        for each in self._sdk:
            with contextlib.suppress(Exception):
                each.shutdown()
