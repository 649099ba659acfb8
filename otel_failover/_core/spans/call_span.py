"""The span of one SDK call: what was asked, and what came back, from own evidence only.

A plain span of the tracer's, as GenAI conventions have it, and never through a GenAI helper: those merge nested calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanKind

from otel_failover._core.domain import attributes as names
from otel_failover._core.domain.candidate import shown
from otel_failover._core.domain.endpoint import address_of
from otel_failover._core.failsafe import read
from otel_failover._core.text.gate import issued, named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from otel_failover._core.domain.asked import Asked

_USAGE: Final = (
    ("gen_ai.usage.input_tokens", ("prompt_tokens", "input_tokens")),
    ("gen_ai.usage.output_tokens", ("completion_tokens", "output_tokens")),
)
"""What SDKs call the tokens of a call, by the convention's name."""


def start(tracer: Tracer, asked: Asked, provider: str, inherited: Mapping[str, Any], current: Context) -> Span:
    """Start the span of a call.

    Args:
        tracer: Ours.
        asked: What the SDK was asked.
        provider: Whom that is.
        inherited: What stands on every span inside the call's attempt.
        current: The context it starts in.
    """
    attributes: dict[str, Any] = dict(inherited)
    attributes[names.GEN_AI_OPERATION] = asked.operation
    attributes[names.GEN_AI_PROVIDER] = named(provider)
    model = shown(asked.model)
    attributes[names.GEN_AI_REQUEST_MODEL] = model
    host, port = address_of(named(asked.endpoint))
    if host:
        attributes[names.SERVER_ADDRESS] = host
        attributes[names.SERVER_PORT] = port
    return tracer.start_span(f"{asked.operation} {model}", current, SpanKind.CLIENT, attributes)


def write_answer(span: Span, response_id: str | None, response_model: str, result: object) -> None:
    """Write what the SDK returned.

    Args:
        span: The call's.
        response_id: As the answer names itself; None where it does not.
        response_model: The model that the answer names; empty where it names none.
        result: The SDK's own object; None for a stream, whose usage nobody reads.
    """
    attributes: dict[str, Any] = {}
    if response_id:
        attributes[names.GEN_AI_RESPONSE_ID] = issued(response_id, ())
    if response_model:  # Ollama names the model alone
        attributes[names.GEN_AI_RESPONSE_MODEL] = shown(response_model)
    if result is not None:
        attributes.update(_usage(read(result, "usage")))
    if attributes:
        span.set_attributes(attributes)


def _usage(usage: object) -> dict[str, int]:
    found: dict[str, int] = {}
    if usage is not None:
        for key, fields in _USAGE:
            for each in fields:
                try:
                    value = getattr(usage, each, None)
                except Exception:
                    value = None
                if isinstance(value, int):
                    found[key] = value
                    break
    return found
