"""The events that agno's models stream, and where their output begins."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.failsafe import read
from otel_failover._core.runs.functions import aiterate, iterate
from otel_failover.integrations.loops.shared.wrappers import OpenDuringGenerator

if TYPE_CHECKING:
    from otel_failover._core.runs.attempt import Attempt

_OUTPUT: Final = "AssistantResponse"


class _OpenDuringEvents(OpenDuringGenerator):
    """An attempt whose output begins with an event that says so: agno's first ones come before any request."""

    def stream_output(self) -> None:
        """Do nothing: a step is not output yet."""


class _Watched:
    """A generator of either kind whose events are looked at; else it is the host's."""

    def __init__(self, events: Any, attempt: Attempt) -> None:
        self._events, self._attempt = events, attempt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._events, name)

    def __iter__(self) -> _Watched:
        return self

    def __next__(self) -> Any:
        return self._seen(next(self._events))

    async def __anext__(self) -> Any:
        return self._seen(await self._events.__anext__())

    async def asend(self, value: Any) -> Any:
        """Take the next event, as an asynchronous generator does."""
        return self._seen(await self._events.asend(value))

    def _seen(self, event: Any) -> Any:
        if read(event, "event") == _OUTPUT:
            self._attempt.stream_output()
        return event


def watched(events: Any, attempt: Attempt) -> Any:
    """Return a stream's generator, which works inside an attempt and shows it when output begins.

    Args:
        events: agno's generator of events.
        attempt: The attempt.
    """
    opened = _OpenDuringEvents(attempt)
    seen: Any = _Watched(events, attempt)
    return aiterate(lambda: opened, seen) if inspect.isasyncgen(events) else iterate(lambda: opened, seen)
