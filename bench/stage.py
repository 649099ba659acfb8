"""What every contender is asked to do: an OpenAI client that answers from memory, and where spans and metrics go.

No server here, and only here: what is measured is our own work, not a network's. Bodies and headers are OpenAI's; every
answer has an id of its own, so that what grows with the number of answers would be seen to grow.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import openai
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from otel_failover import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

MODEL: Final = "gpt-4o-mini"
CHUNKS: Final = 22
FIRST: Final = Candidate("openai", MODEL, "https://api.openai.com", "default")
SECOND: Final = Candidate("gcp.gemini", "gemini-2.5-flash", "https://generativelanguage.googleapis.com")
CHAIN: Final = (FIRST,)
"""A chain of one: a run, a candidate and a call are exactly three spans, and no finding comes on top."""

QUOTA: Final = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    "read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
)
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


_REFUSAL: Final = json.dumps(
    {"error": {"message": QUOTA, "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}}, indent=4
).encode()


def _refusal(http: Any, _: Any) -> Any:
    """OpenAI's answer to an account without money."""
    return http.Response(429, headers=_headers(next(_numbers), "application/json"), content=_REFUSAL)


_LIMIT: Final = (
    f"Rate limit reached for {MODEL} in organization org-local on tokens per min (TPM): Limit 200000, Used 1%d, "
    "Requested 312. Please try again in %dms. Visit https://platform.openai.com/account/rate-limits to learn more."
)


def _refusal_anew(http: Any, _: Any) -> Any:
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
    http = _http()
    transport = http.MockTransport(lambda request: handler(http, request))
    return openai.OpenAI(
        api_key="sk-proj-0123456789abcdefghijklmn",
        base_url=endpoint,
        max_retries=0,
        http_client=http.Client(transport=transport),
    )


# --- the cases --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One thing to ask.

    Args:
        name: As in the table.
        client: Who is asked.
        streamed: Whether the answer is a stream.
    """

    name: str
    client: openai.OpenAI
    streamed: bool = False

    def create(self) -> Any:
        """Ask: the one call that all contenders share."""
        if self.streamed:
            return self.client.chat.completions.create(model=MODEL, messages=_MESSAGES, stream=True)
        return self.client.chat.completions.create(model=MODEL, messages=_MESSAGES)

    def ask(self) -> Any:
        """Ask, and read a stream to its end."""
        found = self.create()
        if self.streamed:
            for _ in found:
                pass
        return found


def success() -> Case:
    """A short answer."""
    return Case("success", client_of(_answer))


def refused() -> Case:
    """A 429."""
    return Case("429", client_of(_refusal))


def refused_anew() -> Case:
    """A 429 whose text differs each time, so that nothing which is remembered by its text is of use."""
    return Case("429 anew", client_of(_refusal_anew))


def stream(chunks: int = CHUNKS) -> Case:
    """A stream, read to its end."""
    return Case("stream", client_of(_streamed(chunks)), streamed=True)


def silent() -> Case:
    """The second candidate, which never answers."""
    return Case("timeout", client_of(_silence, f"{SECOND.endpoint}/v1beta/openai"))


def refused_at(endpoint: str) -> Case:
    """A 429 of any endpoint."""
    return Case("429", client_of(_refusal, f"{endpoint}/v1"))


def cases() -> tuple[Case, ...]:
    """Return what every contender is asked."""
    return success(), refused(), stream()


# --- telemetry --------------------------------------------------------------------------------------------------------


class _Dropping(SpanExporter):
    """Takes spans and forgets them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the SDK's signature
        return SpanExportResult.SUCCESS


class Telemetry:
    """An SDK as services configure it, whose exporter drops everything.

    Args:
        processors: Added behind the batch processor.
    """

    def __init__(self, *processors: SpanProcessor) -> None:
        self.traces = TracerProvider(shutdown_on_exit=False)
        for processor in (BatchSpanProcessor(_Dropping()), *processors):
            self.traces.add_span_processor(processor)
        self.reader = InMemoryMetricReader()
        self.metrics = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)

    def shutdown(self) -> None:
        """Stop its threads."""
        with contextlib.suppress(Exception):
            self.traces.shutdown()
            self.metrics.shutdown()
