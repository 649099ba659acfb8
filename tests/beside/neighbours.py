"""Turns on every other instrumentation that is installed here, one family at a time, and takes it off again."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from concurrent import futures
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.support.spans import SerialisingExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

GENAI: Final = "genai"
OPENINFERENCE: Final = "openinference"
OPENLLMETRY: Final = "openllmetry"
LOGFIRE: Final = "logfire"
TRANSPORTS: Final = "transports"
NATIVE: Final = "native"

_HTTP: Final = frozenset(
    f"opentelemetry-instrumentation-{name}" for name in ("httpx", "requests", "aiohttp-client", "botocore", "urllib3")
)
_ALSO_CALLED: Final = {
    "google_generativeai": "google_genai",
    "google-genai": "google_genai",
    "boto3": "bedrock",
    "aiohttp-client": "aiohttp",
}
_OF_LOGFIRE: Final = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google_genai": "google.genai",
    "pydantic_ai": "pydantic_ai",
    "litellm": "litellm",
    "dspy": "dspy",
}


def family_of(distribution: importlib.metadata.Distribution) -> str | None:
    """Return the family of an instrumentation by its distribution; OpenLLMetry's have OpenTelemetry's own prefix."""
    name = distribution.name.lower().replace("_", "-")
    if name.startswith("openinference-instrumentation-"):
        return OPENINFERENCE
    if not name.startswith("opentelemetry-instrumentation-"):
        return None
    if name in _HTTP:
        return TRANSPORTS
    if "-instrumentation-genai-" in name or name.endswith(("-google-genai", "-v2")):
        return GENAI
    required = " ".join(distribution.requires or ())
    return OPENLLMETRY if "opentelemetry-semantic-conventions-ai" in required else None


def installed() -> dict[str, list[importlib.metadata.EntryPoint]]:
    """Return the instrumentors that are installed, by family; Logfire has methods instead, what is native has neither."""
    found: dict[str, list[importlib.metadata.EntryPoint]] = {}
    for point in importlib.metadata.entry_points(group="opentelemetry_instrumentor"):
        family = family_of(point.dist) if point.dist is not None else None
        if family is not None and point not in found.setdefault(family, []):
            found[family].append(point)
    if has("logfire"):
        found[LOGFIRE] = []
    found[NATIVE] = []
    return found


def has(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def versions(family: str) -> list[str]:
    """Return what of a family is installed, with versions."""
    points = installed().get(family, [])
    found = sorted({f"{point.dist.name} {point.dist.version}" for point in points if point.dist is not None})
    return found or ([f"logfire {importlib.metadata.version('logfire')}"] if family == LOGFIRE else [])


@dataclass
class Neighbours:
    """One family, turned on.

    Attributes:
        family: Its name.
        exporter: What everybody exported.
        provider: The tracer provider that it writes to.
        members: The libraries that it instruments here: `openai`, `google_genai`, `bedrock`, `httpx` …
        logfire: Logfire's own handle, where it is the family.
        looked: How often something honest was looked at while it was on.
        seen: How many of its spans were bound to attempts or judged.
    """

    family: str
    exporter: SerialisingExporter
    provider: Any = None
    members: set[str] = field(default_factory=set)
    logfire: Any = None
    looked: int = 0
    seen: int = 0


@contextmanager
def turned_on(family: str) -> Iterator[Neighbours]:
    """Turn on one family of `installed()`, and take it off again."""
    made = Neighbours(family, SerialisingExporter())
    with ExitStack() as stack:
        _clear_up(stack)
        if family == LOGFIRE:
            _logfire(stack, made)
        else:
            _turn_on(stack, made)
        yield made


def _clear_up(stack: ExitStack) -> None:
    """Take from the SDKs' classes what some families leave there for good, in the way of who comes next."""
    for name in ("openai.OpenAI", "openai.AsyncOpenAI", "anthropic.Anthropic", "anthropic.AsyncAnthropic"):
        module, _, kind = name.partition(".")
        owner = getattr(importlib.import_module(module), kind) if has(module) else None
        if owner is not None and "request" not in vars(owner):
            stack.callback(_forget, owner)


def _forget(owner: type) -> None:
    if "request" in vars(owner):
        del owner.request  # type: ignore[attr-defined]


def _turn_on(stack: ExitStack, made: Neighbours) -> None:
    made.provider = TracerProvider()
    stack.callback(made.provider.shutdown)
    if made.family == OPENINFERENCE and has("openinference.instrumentation.pydantic_ai"):
        _translate(stack, made)
    if made.family == NATIVE:
        made.members.add("anthropic")  # the SDK traces by itself where its client is given a tracer provider
        _pydantic_ai(stack, made)
    made.provider.add_span_processor(SimpleSpanProcessor(made.exporter))
    for point in installed()[made.family]:
        _instrument(stack, point, made)


def _instrument(stack: ExitStack, point: importlib.metadata.EntryPoint, made: Neighbours) -> None:
    """Instrument as `opentelemetry-instrument` does: what it is for must be installed."""
    instrumentor = point.load()()
    instrumentor.instrument(tracer_provider=made.provider)
    if instrumentor.is_instrumented_by_opentelemetry:
        made.members.add(_ALSO_CALLED.get(point.name, point.name))
        stack.callback(instrumentor.uninstrument)


def _pydantic_ai(stack: ExitStack, made: Neighbours) -> None:
    if not has("pydantic_ai"):
        return
    made.members.add("pydantic_ai")
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings

    Agent.instrument_all(InstrumentationSettings(tracer_provider=made.provider))
    stack.callback(Agent.instrument_all, False)


def _translate(stack: ExitStack, made: Neighbours) -> None:
    """OpenInference's part for pydantic-ai is a processor, which rewrites that library's own spans."""
    from openinference.instrumentation.pydantic_ai import OpenInferenceSpanProcessor

    made.provider.add_span_processor(OpenInferenceSpanProcessor())
    _pydantic_ai(stack, made)


def _logfire(stack: ExitStack, made: Neighbours) -> None:
    """Configure Logfire with a provider of its own, which others attach to; nothing is sent."""
    import logfire

    for executor in (futures.ThreadPoolExecutor, futures.ProcessPoolExecutor):
        stack.callback(setattr, executor, "submit", executor.submit)  # Logfire wraps it for good
    processors = [SimpleSpanProcessor(made.exporter)]
    local = logfire.configure(local=True, send_to_logfire=False, console=False, additional_span_processors=processors)
    made.logfire, made.provider = local, local.config.get_tracer_provider()
    stack.callback(made.provider.shutdown)
    for name, module in _OF_LOGFIRE.items():
        if has(module):
            _of_logfire(stack, local, name, made)


def _of_logfire(stack: ExitStack, local: Any, name: str, made: Neighbours) -> None:
    """Instrument one library; where a package that Logfire needs for it is missing, it says so by RuntimeError."""
    try:
        back = getattr(local, f"instrument_{name}")()
    except (RuntimeError, ImportError):
        return
    made.members.add(name)
    if name == "pydantic_ai":
        from pydantic_ai import Agent

        stack.callback(Agent.instrument_all, False)
    elif name == "google_genai":
        from opentelemetry.instrumentation.google_genai import GoogleGenAiSdkInstrumentor

        stack.callback(GoogleGenAiSdkInstrumentor().uninstrument)
    elif name == "litellm":
        from openinference.instrumentation.litellm import LiteLLMInstrumentor

        stack.callback(LiteLLMInstrumentor().uninstrument)
    elif hasattr(back, "__exit__"):
        stack.enter_context(back)
