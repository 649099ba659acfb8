"""What an application inside a framework has: local providers to ask, and what a trace of it must hold."""

from __future__ import annotations

import importlib
import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS, LONG
from tests.support.spans import value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anthropic
    import openai

    from tests.support.spans import Exported, Telemetry

QUESTION: Final = "Why does the order of the harbour's bells change in winter?"
OTHER: Final = "Which of the harbour's bells is the oldest one?"
GPT: Final = "gpt-5.5"
CLAUDE: Final = "claude-opus-4-7"
_OF_CALLS: Final = ("otel_failover", "com.anthropic.sdk.python")
MARKER: Final = "failover.attribution.mismatch"
SETTINGS: Final = ("alone", "in a request", "instrumented")
"""No span but ours; inside a server's span; and inside the framework's own spans there, as an instrumentation of it
makes them."""
IN_A_REQUEST: Final = SETTINGS[1:]


class Desk:
    """Providers on loopback, and what an application asks them with; all end with the test."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.servers: list[LocalProvider] = []

    def provider(self, kind: Any, *answers: Answer) -> LocalProvider:
        """Return a provider that speaks as OpenAI or Anthropic does."""
        server = self.stack.enter_context(LocalProvider(kind, *answers))
        self.servers.append(server)
        return server

    def openai(self, *answers: Answer, **options: Any) -> dict[str, Any]:
        """Return what OpenAI's clients, and frameworks' around them, are made with."""
        return _options(self.provider("openai", *answers), KEYS["openai"], options)

    def anthropic(self, *answers: Answer, **options: Any) -> dict[str, Any]:
        """Return what Anthropic's clients, and frameworks' around them, are made with."""
        return _options(self.provider("anthropic", *answers), KEYS["anthropic"], options)

    def asked(self) -> list[list[int | None]]:
        """Return what each provider answered, in the order in which they were made."""
        return [[served.status for served in server.log] for server in self.servers]


def _options(server: LocalProvider, key: str, options: dict[str, Any]) -> dict[str, Any]:
    return {"base_url": server.base_url, "api_key": key, "max_retries": 0, "timeout": LONG, **options}


def messages(text: str = QUESTION) -> Any:
    """Return a question as both SDKs take it."""
    return [{"role": "user", "content": text}]


def ask_gpt(client: openai.OpenAI, text: str = QUESTION, model: str = GPT) -> str:
    """Ask as an application does."""
    return str(client.chat.completions.create(model=model, messages=messages(text)).choices[0].message.content)


def ask_claude(client: anthropic.Anthropic, text: str = QUESTION, model: str = CLAUDE) -> str:
    """Ask as an application does."""
    reply: Any = client.messages.create(model=model, messages=messages(text), max_tokens=32)
    return str(reply.content[0].text)


async def aask_gpt(client: openai.AsyncOpenAI, text: str = QUESTION, model: str = GPT) -> str:
    """Ask as an asynchronous application does."""
    reply = await client.chat.completions.create(model=model, messages=messages(text))
    return str(reply.choices[0].message.content)


async def aask_claude(client: anthropic.AsyncAnthropic, text: str = QUESTION, model: str = CLAUDE) -> str:
    """Ask as an asynchronous application does."""
    reply: Any = await client.messages.create(model=model, messages=messages(text), max_tokens=32)
    return str(reply.content[0].text)


# --- answers that agents need -----------------------------------------------------------------------------------------


def gpt_calls(tool: str, **arguments: Any) -> Answer:
    """Return OpenAI's answer that calls a tool."""
    call = {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return _document(
        id="chatcmpl-tool", object="chat.completion", created=1, model=GPT, usage=_USAGE,
        choices=[{"index": 0, "finish_reason": "tool_calls", "message": message}],
    )  # fmt: skip


def claude_calls(tool: str, **arguments: Any) -> Answer:
    """Return Anthropic's answer that calls a tool."""
    return _document(
        id="msg_tool", type="message", role="assistant", model=CLAUDE, stop_reason="tool_use", stop_sequence=None,
        content=[{"type": "tool_use", "id": "toolu_1", "name": tool, "input": arguments}],
        usage={"input_tokens": 12, "output_tokens": 3},
    )  # fmt: skip


_USAGE: Final = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def _document(**fields: Any) -> Answer:
    return Answer.raw(200, json.dumps(fields), content_type="application/json")


# --- where an application runs ----------------------------------------------------------------------------------------


@contextmanager
def setting(telemetry: Telemetry, name: str, instrumentation: str) -> Iterator[None]:
    """Work in one of the `SETTINGS`.

    Args:
        telemetry: Where spans go.
        name: Of the setting; or "its spans alone", where each of the framework's first spans begins a trace.
        instrumentation: The class that makes the framework's spans: `module:Class`; the test skips without it.
    """
    if name == "alone":
        yield
        return
    with ExitStack() as stack:
        if name != "in a request":
            stack.enter_context(instrumented(telemetry, instrumentation))
        if name != "its spans alone":
            stack.enter_context(telemetry.tracer.start_as_current_span("POST /ask"))
        yield


@contextmanager
def instrumented(telemetry: Telemetry, instrumentation: str) -> Iterator[None]:
    """Turn on what makes a framework's spans, and off again."""
    import pytest

    module, _, made = instrumentation.partition(":")
    instrumentor = getattr(pytest.importorskip(module), made)()
    instrumentor.instrument(tracer_provider=telemetry.provider)
    try:
        yield
    finally:
        instrumentor.uninstrument()


def installed(name: str) -> Any:
    """Import a framework, or skip."""
    import pytest

    pytest.importorskip(name, exc_type=ImportError)
    return importlib.import_module(name)


# --- what a trace holds -----------------------------------------------------------------------------------------------


def inferred(spans: list[Exported]) -> list[Exported]:
    """Return the runs that nobody declared."""
    return [span for span in spans if span.name.startswith("failover ") and span["failover.library"] == "inferred"]


def check_none(found: Telemetry | list[Exported], calls: int | None = None) -> None:
    """Assert that nothing is told as a failover.

    Args:
        found: What was exported.
        calls: How many calls there must be, so that silence is not for want of them.
    """
    spans = found if isinstance(found, list) else found.spans
    assert [(each.name, each.attributes) for each in inferred(spans)] == []
    assert [span for span in spans if span.name == MARKER] == []
    if calls is not None:
        assert len(asked(spans)) == calls


def asked(spans: list[Exported]) -> list[Exported]:
    """Return the spans of the SDKs' calls, ours or an SDK's own, in the order of their start."""
    found = [span for span in spans if span.scope in _OF_CALLS and span["gen_ai.operation.name"] == "chat"]
    return sorted(found, key=lambda span: span.start)


def check_failover(
    found: Telemetry | list[Exported],
    *models: str,
    outcome: str = "fallback",
    below: str | None = None,
    reasons: tuple[str, ...] = ("billing",),
    repeats: int = 0,
) -> Exported:
    """Assert that one failover is told, as it was; return its run.

    Args:
        found: What was exported.
        models: Of the candidates, in the order in which they were asked, each once.
        outcome: Of the run.
        below: The name of the span that the run must be a child of.
        reasons: Why the candidates failed, in their order.
        repeats: How often the first one was asked again before another was.
    """
    spans = found if isinstance(found, list) else found.spans
    (run,) = inferred(spans)
    models = models or (GPT, CLAUDE)
    assert run["failover.outcome"] == outcome
    assert run["failover.attempt.count"] == len(models) + repeats
    assert run["candidate.model"] == models[-1]
    assert run.status == ("UNSET" if outcome == "fallback" else "ERROR")
    assert [span for span in spans if span.name == MARKER] == []
    own = [span for span in spans if span.name.startswith("candidate ")]
    own = [span for span in own if span["failover.run.id"] == run["failover.run.id"]]
    own.sort(key=lambda span: span.start)
    assert [span["candidate.model"] for span in own] == list(models[1:])
    assert {span.verdict for span in own} == {("verified", None)}
    expected = [*reasons, None][: len(models)] if outcome == "fallback" else list(reasons)
    assert [span["failover.reason.code"] for span in own] == expected[1:]
    earlier = links(run)
    assert len(earlier) == 1 + repeats
    for span_id, said in earlier:
        assert (said["candidate.model"], said["candidate.outcome"]) == (models[0], "error")
        assert said["failover.reason.code"] == expected[0]
        (first,) = [span for span in spans if span.span_id == span_id]
        assert first["candidate.model"] == models[0]
        assert first.verdict == ("verified", None)
        assert run.start <= first.start
    assert run.end >= max(span.start for span in own)
    if below is not None:
        assert [span.name for span in spans if span.span_id == run.parent_id] == [below]
    return run


def links(span: Exported) -> list[tuple[str, dict[str, Any]]]:
    """Return the links of a span: the other's id, and what is said of it."""
    found = Span.FromString(span.raw).links
    return [(each.span_id.hex(), {one.key: value_of(one.value) for one in each.attributes}) for each in found]
