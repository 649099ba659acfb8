"""What `otel-failover doctor` looks at: versions, patches, providers, exporters, settings. Imports no rich.

It looks at the process as it is. Under `opentelemetry-instrument` that is the real thing: the instrumentation is on
already, and the tracer provider is the one that spans will go to. Otherwise the instrumentation is turned on, what can
be patched is imported, and all is taken off again.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import os
import platform
import re
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor

from otel_failover._core.config import runtime
from otel_failover._core.config.settings import Settings, load
from otel_failover._core.failsafe import logger
from otel_failover._core.spans.processor import AttributionProcessor
from otel_failover._core.text.gate import clean
from otel_failover._core.text.redaction import MASK
from otel_failover.cli.doctor import frameworks, patched, telemetry, usage
from otel_failover.instrumentor import FailoverInstrumentor
from otel_failover.integrations.patching import installed
from otel_failover.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover.cli.doctor.patched import Patched
    from otel_failover.cli.doctor.telemetry import Exporter

_LOOKED_FOR: Final = (
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "opentelemetry-distro",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-exporter-otlp-proto-grpc",
    "wrapt",
)
_GENAI: Final = re.compile(
    r"opentelemetry-instrumentation-(genai-.*|.*(openai|anthropic|google-?genai|vertexai|bedrock|litellm|langchain).*)"
    r"|openinference-instrumentation-.+|logfire|traceloop-sdk|openlit|langfuse"
)
"""Distributions that make GenAI spans, as their names stand on PyPI."""

_TOLD_AS_PROBLEM: Final = re.compile(
    r"not patched|patched in part|nothing was patched| skipped: | waits for a module |^disabled_libraries names "
)

NOT_ON: Final = (
    "otel-failover is not turned on in this process: start it by opentelemetry-instrument, or call "
    "FailoverInstrumentor().instrument() in its code"
)

_SWITCHED_OFF: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"


@dataclass(frozen=True, slots=True)
class Provider:
    """Where spans go in this process.

    Args:
        kind: The tracer provider's class.
        sdk: Whether it takes span processors.
        processor: Whether ours is attached; None where that cannot be seen.
        hook: Whether the SDK has the hook at a span's end, where spans of others can still be written.
    """

    kind: str
    sdk: bool
    processor: bool | None
    hook: bool


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found.

    Args:
        version: Of otel-failover.
        python: Implementation and version.
        versions: Installed versions by distribution; None for what is not there.
        active: Whether the instrumentation was on before we looked.
        libraries: What became of each.
        provider: Where spans go.
        exporters: Where they are sent to.
        settings: In force, by name.
        changed: Names of settings that are not the default.
        genai_instrumentations: Installed others that make GenAI spans, with their versions.
        problems: What makes this a bad result.
        notes: What is worth knowing.
    """

    version: str
    python: str
    versions: dict[str, str | None]
    active: bool
    libraries: tuple[Patched, ...]
    provider: Provider
    exporters: tuple[Exporter, ...]
    settings: dict[str, Any]
    changed: tuple[str, ...]
    genai_instrumentations: dict[str, str]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether something is patched, nothing left out against the user's will, and telemetry can go somewhere."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON; keys are stable."""
        return {"ok": self.healthy, **asdict(self)}


def examine(*, is_service: bool = False) -> Examination:
    """Look at everything, and leave the process as it was.

    Args:
        is_service: This process is the service itself: nothing is turned on or imported to be looked at.
    """
    active = bool(FailoverInstrumentor().is_instrumented_by_opentelemetry)
    before = frozenset(sys.modules)
    with _warnings() as bad_settings:
        load({})
    with _warnings() as warnings:
        if not active and not is_service:
            FailoverInstrumentor().instrument()
        try:
            libraries = tuple(patched.look_at(before, is_service=is_service))
            settings = runtime.current().settings
            provider = _provider()
        finally:
            if not active and not is_service:
                FailoverInstrumentor().uninstrument()
    found = telemetry.look(is_service=is_service)
    others = _genai_instrumentations()
    notes = [text for text in warnings if text not in bad_settings]
    return Examination(
        version=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        versions={name: installed(name) for name in _LOOKED_FOR},
        active=active,
        libraries=libraries,
        provider=provider,
        exporters=found.exporters,
        settings=_shown(settings),
        changed=tuple(name for name, value in asdict(settings).items() if value != asdict(Settings())[name]),
        genai_instrumentations=others,
        problems=(
            *bad_settings,
            *patched.unknown(settings, libraries),
            *(patched.problems(libraries, is_service=is_service) if active or not is_service else (NOT_ON,)),
            *found.problems,
            *usage.problems(),
        ),
        notes=(
            *notes,
            *found.notes,
            *_notes(provider, others),
            *patched.notes(libraries),
            *frameworks.told(settings.loops),
            *usage.notes(settings),
        ),
    )


def _shown(settings: Settings) -> dict[str, Any]:
    """Return the settings by name; any of them may hold a key by mistake, and a pattern one on purpose."""
    found = {name: _cleaned(value) for name, value in asdict(settings).items()}
    return found | {"redact": [MASK for _ in settings.redact]}


def _cleaned(value: Any) -> Any:
    """Return a setting's value without credentials, at any depth."""
    if isinstance(value, dict):
        return {_cleaned(name): _cleaned(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_cleaned(each) for each in value]
    return clean(value) if isinstance(value, str) else value


# --- where spans go ---------------------------------------------------------------------------------------------------


def _provider() -> Provider:
    provider = trace.get_tracer_provider()
    kind = type(provider)
    return Provider(
        kind=f"{kind.__module__}.{kind.__qualname__}",
        sdk=hasattr(provider, "add_span_processor"),
        processor=_has_processor(provider),
        hook=hasattr(SpanProcessor, "_on_ending"),
    )


def _has_processor(provider: object) -> bool | None:
    """Whether our processor is among a provider's; the SDK has no public way to ask."""
    multi = getattr(provider, "_active_span_processor", None)
    processors = getattr(multi, "_span_processors", None)
    if processors is None:
        return None if hasattr(provider, "add_span_processor") else False
    return any(isinstance(processor, AttributionProcessor) for processor in processors)


# --- the rest ---------------------------------------------------------------------------------------------------------


def _genai_instrumentations() -> dict[str, str]:
    """Return installed distributions that make GenAI spans of their own."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = str(distribution.metadata["Name"] or "").lower().replace("_", "-")
        if _GENAI.fullmatch(name):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def _notes(provider: Provider, others: dict[str, str]) -> Iterator[str]:
    if not provider.hook:
        yield "this SDK has no hook at a span's end (1.40 and newer): spans of others get a marker, no attributes"
    if "otel_failover" in [name.strip() for name in os.environ.get(_SWITCHED_OFF, "").split(",")]:
        yield f"{_SWITCHED_OFF} names otel_failover: opentelemetry-instrument does not turn it on"
    if not _takes_log_processors():
        yield "exceptions in the logs signal are not checked: its logger provider takes no processors"
    if others:
        yield "another GenAI instrumentation is installed: where it is on, call_spans=auto adds no spans beside its own"


def _takes_log_processors() -> bool:
    """Whether exception records can be checked, where the application has a logger provider of its own at all."""
    if "opentelemetry.sdk._logs" not in sys.modules:
        return True
    from opentelemetry._logs import get_logger_provider

    provider = get_logger_provider()
    is_the_apis = type(provider).__module__.startswith("opentelemetry._logs")
    return is_the_apis or hasattr(provider, "add_log_record_processor")


class _Heard(logging.Handler):
    """Keeps warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's text, without the name that stands before each."""
        self.messages.append(record.getMessage().removeprefix("otel-failover: "))


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Give a list that fills with our own warnings, settings that are not usable among them, and keep them off stderr.

    Nothing is listed twice, and what is also a problem not at all.
    """
    handler, propagate, level = _Heard(), logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate, logger.level = False, logging.WARNING
    found: list[str] = []
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.propagate, logger.level = propagate, level
        found += dict.fromkeys(text for text in handler.messages if not _TOLD_AS_PROBLEM.search(text))
