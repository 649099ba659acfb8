"""OpenTelemetry's instrumentor base class and suppression, with or without its package.

`opentelemetry-instrumentation` pins the conventions, and so the API, to one release: as a dependency it would replace
the versions of the service we are installed into. Where it is there (zero-code start needs it), it is used.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection


class _Instrumentor:
    """What is used of `BaseInstrumentor`: one object, on and off once."""

    _instance: Any = None
    _is_on = False

    def __new__(cls) -> Any:
        if cls._instance is None:
            cls._instance = object.__new__(cls)
        return cls._instance

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether it is on."""
        return self._is_on

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what has to be installed."""
        return ()

    def instrument(self, **kwargs: Any) -> None:
        """Turn it on."""
        if not self._is_on:
            self._instrument(**kwargs)
            self._is_on = True

    def uninstrument(self, **kwargs: Any) -> None:
        """Turn it off."""
        if self._is_on:
            self._uninstrument(**kwargs)
            self._is_on = False

    def _instrument(self, **kwargs: Any) -> None:
        raise NotImplementedError

    def _uninstrument(self, **kwargs: Any) -> None:
        raise NotImplementedError


Base: Any = _Instrumentor
with contextlib.suppress(ImportError):
    Base = importlib.import_module("opentelemetry.instrumentation.instrumentor").BaseInstrumentor
