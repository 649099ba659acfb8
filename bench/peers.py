"""Whom we are compared with, where they are installed: each as its own documents say, with metrics where it has them.

Most cannot be taken off again, or not whole: they are measured in a process of their own, never counted beside others.
"""

from __future__ import annotations

import asyncio
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from bench import stage
from bench.contenders import Contender
from bench.stage import RECORDING, Telemetry
from otel_failover import FailoverInstrumentor
from otel_failover._core.evidence.orphans import orphans

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.sdk.trace import SpanProcessor


class Peer(Contender):
    """An instrumentation of the same SDK by others."""

    asked = ("success", "429", "stream")
    needs = ""
    """The module that has to be there."""

    @classmethod
    def is_here(cls) -> bool:
        """Whether it is installed."""
        try:
            return find_spec(cls.needs) is not None
        except ModuleNotFoundError:
            return False


class OpenInference(Peer):
    """Arize's: spans only."""

    name = "openinference"
    says = "openinference-instrumentation-openai"
    needs = "openinference.instrumentation.openai"

    def put_on(self) -> None:
        """Instrument."""
        from openinference.instrumentation.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument(tracer_provider=self.telemetry.traces)


class OpenLLMetry(Peer):
    """Traceloop's: spans and metrics."""

    name = "openllmetry"
    says = "opentelemetry-instrumentation-openai (OpenLLMetry)"
    needs = "opentelemetry.instrumentation.openai"

    def put_on(self) -> None:
        """Instrument."""
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument(
            tracer_provider=self.telemetry.traces, meter_provider=self.telemetry.metrics, skip_dep_check=True
        )


class Logfire(Peer):
    """Pydantic's: its own providers."""

    name = "logfire"
    says = "logfire.instrument_openai"
    needs = "logfire"

    def __init__(self, *processors: SpanProcessor, kind: str = RECORDING) -> None:
        super().__init__(kind=kind)
        self._processors = processors

    def put_on(self) -> None:
        """Instrument."""
        import logfire

        os.environ["LOGFIRE_IGNORE_NO_CONFIG"] = "1"
        self.telemetry.reader = InMemoryMetricReader()
        logfire.configure(
            send_to_logfire=False,
            console=False,
            inspect_arguments=False,
            additional_span_processors=[BatchSpanProcessor(self.telemetry.exported), *self._processors],
            metrics=logfire.MetricsOptions(additional_readers=[self.telemetry.reader]),
        )
        self.telemetry.flush = logfire.force_flush  # type: ignore[method-assign]
        logfire.instrument_openai()


class Langfuse(Peer):
    """Langfuse's: the import of its module instruments, for good."""

    name = "langfuse"
    says = "langfuse.openai"
    needs = "langfuse"

    def __init__(self, *processors: SpanProcessor, kind: str = RECORDING) -> None:
        super().__init__(kind=kind)
        self.telemetry.shutdown()
        self.telemetry = Telemetry(*processors, kind=kind, batch=False)

    def put_on(self) -> None:
        """Instrument."""
        from langfuse import Langfuse as Client

        Client(
            public_key="pk-lf-local",
            secret_key="sk-lf-local",
            base_url="http://127.0.0.1:9",
            tracer_provider=self.telemetry.traces,
            span_exporter=self.telemetry.exported,
        )
        import langfuse.openai  # noqa: F401 - that is how it is put on


# --- pydantic-ai ------------------------------------------------------------------------------------------------------


class Agent(Contender):
    """An agent whose model is pydantic-ai's fallback of three, uninstrumented."""

    name = "agent"
    says = "pydantic-ai, a FallbackModel of three"
    asked: tuple[str, ...] = ("agent: answered", "agent: two refused")

    def run(self, case: Any) -> None:
        """Run the agent once."""
        case.ask()


class AgentInstrumented(Agent):
    """The same with pydantic-ai's own instrumentation."""

    name = "agent_own"
    says = "the same, with pydantic-ai's own instrumentation"

    def put_on(self) -> None:
        """Instrument."""
        from pydantic_ai import Agent as TheirAgent
        from pydantic_ai.models.instrumented import InstrumentationSettings

        TheirAgent.instrument_all(
            InstrumentationSettings(tracer_provider=self.telemetry.traces, meter_provider=self.telemetry.metrics)
        )


class AgentOurs(Agent):
    """The same with ours."""

    name = "agent_ours"
    says = "the same, with ours"

    def put_on(self) -> None:
        """Instrument."""
        orphans.clear()
        FailoverInstrumentor().instrument(tracer_provider=self.telemetry.traces, meter_provider=self.telemetry.metrics)

    def take_off(self) -> None:
        """Uninstrument."""
        FailoverInstrumentor().uninstrument()


class Conversation:
    """A question to an agent.

    Args:
        name: As in the table.
        refusing: How many of the three models refuse.
    """

    def __init__(self, name: str, refusing: int) -> None:
        self.name = name
        self._refusing = refusing
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asks: Callable[[], Awaitable[Any]]

    def ask(self) -> Any:
        """Ask; all of one conversation's questions in one event loop, as in a service."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._asks = self._agent()
        return self._loop.run_until_complete(self._asks())

    def _agent(self) -> Callable[[], Awaitable[Any]]:
        from pydantic_ai import Agent as TheirAgent
        from pydantic_ai.models.fallback import FallbackModel
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        models = [
            OpenAIChatModel(
                stage.MODEL,
                provider=OpenAIProvider(
                    openai_client=stage.async_client_of(refuses=place < self._refusing, endpoint=endpoint)
                ),
            )
            for place, endpoint in enumerate(
                ("https://api.openai.com/v1", "https://eu.api.openai.com/v1", "https://us.api.openai.com/v1")
            )
        ]
        agent = TheirAgent(FallbackModel(*models))
        return lambda: agent.run("Say this is a test")


PEERS: Final[tuple[type[Peer], ...]] = (OpenInference, OpenLLMetry, Logfire, Langfuse)
AGENTS: Final[tuple[type[Agent], ...]] = (Agent, AgentInstrumented, AgentOurs)


def has_agents() -> bool:
    """Whether pydantic-ai is installed."""
    return find_spec("pydantic_ai") is not None


def answered() -> Conversation:
    """The first model answers."""
    return Conversation("agent: answered", 0)


def two_refused() -> Conversation:
    """Two models refuse, the third answers."""
    return Conversation("agent: two refused", 2)
