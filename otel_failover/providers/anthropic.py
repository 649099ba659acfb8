"""anthropic 0.x to 2.x: messages and their streams.

Since 1.11 the SDK makes a span for each call by itself (scope `com.anthropic.sdk.python`), so `call_spans=auto` adds
none. Counting tokens is no inference and settles nothing.
"""

from __future__ import annotations

from typing import Any, Final

from otel_failover.failsafe import read
from otel_failover.providers.stainless import Adapter


def _traces_itself(client: Any) -> bool:
    """Whether this client makes its own spans: it keeps a tracer unless its tracing is off."""
    return read(client, "_tracer") is not None


ANTHROPIC: Final = Adapter(
    "anthropic",
    "anthropic",
    "https://api.anthropic.com",
    {"/messages": "chat", "/complete": "text_completion"},
    ">=0.49,<3",
    _traces_itself,
).library()
