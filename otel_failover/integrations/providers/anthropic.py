"""anthropic 0.x to 2.x: messages and their streams.

Since 1.11 the SDK makes a span for each call by itself (scope `com.anthropic.sdk.python`), so `call_spans=auto` adds
none. Counting tokens is no inference and settles nothing.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.trace import NoOpTracer, ProxyTracer, ProxyTracerProvider, get_tracer_provider

from otel_failover._core.failsafe import read
from otel_failover.integrations.providers.stainless import Adapter


def _traces_itself(client: Any) -> bool:
    """Whether this client makes its own spans: it keeps a tracer unless its tracing is off.

    One of the global provider's makes none before there is a provider.
    """
    tracer = read(client, "_tracer")
    if tracer is None or isinstance(tracer, NoOpTracer):
        return False
    return not isinstance(tracer, ProxyTracer) or not isinstance(get_tracer_provider(), ProxyTracerProvider)


ANTHROPIC: Final = Adapter(
    "anthropic",
    "anthropic",
    "https://api.anthropic.com",
    {"/messages": "chat", "/complete": "text_completion"},
    ">=0.49",
    "Anthropic",
    _traces_itself,
).library()
