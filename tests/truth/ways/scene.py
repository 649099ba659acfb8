"""Candidates that can be asked with real SDKs, and what was exported of it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_failover import FailoverInstrumentor
from otel_failover.testing.providers import Answer
from tests.support.hosts import stand
from tests.support.spans import SerialisingExporter
from tests.truth.ways.texts import BROAD, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Tracer

    from tests.support.hosts import Stand
    from tests.support.spans import Exported

HURRY: Final = 0.04
"""Seconds that a client waits for a provider that hangs."""
HANDMADE: Final = "Our scheduler could not place this request on any replica"
OTHER: Final = Answer.error(500, HANDMADE, code="no_replica", type="no_replica")
"""An error that is nobody else's."""


@dataclass
class Scene:
    """Two candidates of each wire format: who fails first, and whose attempt is judged."""

    exporter: SerialisingExporter
    tracer: Tracer
    first: dict[str, Stand]
    second: dict[str, Stand]

    def starting(self, prefix: str) -> list[Exported]:
        """Return the spans whose name starts so, in their order."""
        found = [span for span in self.exporter.spans if span.name.startswith(prefix)]
        return sorted(found, key=lambda span: span.start)

    def clear(self) -> None:
        """Forget what was exported."""
        self.exporter.spans.clear()
        self.exporter.raw.clear()


@contextmanager
def opened() -> Iterator[Scene]:
    """Switch everything on, for many runs: to do so for each of them would take longer than they do."""
    exporter, provider = SerialisingExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider)
    with ExitStack() as stack:
        first = {"openai": stand("openai"), "anthropic": stand("anthropic")}
        second = {"openai": stand("openrouter"), "anthropic": stand("aws.bedrock", kind="anthropic")}
        yield Scene(
            exporter,
            provider.get_tracer("application"),
            {wire: stack.enter_context(each) for wire, each in first.items()},
            {wire: stack.enter_context(each) for wire, each in second.items()},
        )
    FailoverInstrumentor().uninstrument()


def asked(each: Stand, answer: Answer) -> Told | None:
    """Ask a candidate that answers so; return its error, None where it answers well."""
    each.server.program(answer)
    each.server.clear()
    try:
        each.ask(**({"timeout": HURRY} if answer.kind == "hang" else {}))
    except Exception as problem:  # noqa: BLE001 - a loop goes on
        return told_of(each, problem)
    return None


def told_of(each: Stand, problem: Any) -> Told:
    """Return an error as a loop holds it, with what the provider's own log has of it."""
    served = each.server.log[-1] if each.server.log else None
    response = getattr(problem, "response", None)
    body: dict[str, Any] = response.json() if response is not None and response.content[:1] == b"{" else {}
    error = body.get("error", {})
    kind = error.get("type")
    code = (kind if each.server.kind == "anthropic" else error.get("code")) or None
    return Told(
        each.candidate.provider,
        each.candidate.model,
        f"{each.server.base_url}/chat/completions",
        str(problem),
        str(error.get("message") or problem),
        getattr(problem, "status_code", None),
        code,
        kind if kind in BROAD and kind != code else None,
        body,
        served.request_id if served is not None and body else None,
        problem,
    )
