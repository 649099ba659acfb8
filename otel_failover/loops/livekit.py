"""LiveKit Agents: `llm.FallbackAdapter`, from 1.0 on.

A run is one pass of `FallbackLLMStream._run`, an attempt what `FallbackLLMStream._try_generate` generates with one
candidate, LiveKit's own retries inside. After a failure the adapter asks that candidate again beside the next one, in
a task of its own, to see whether it is back: such a probe serves nothing. One that begins after its run has ended
belongs to no run.

A candidate that the adapter takes for unavailable is passed over without a word; it is a skip, told where the next
step shows it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover import runtime, scope
from otel_failover.decorating import aiterate
from otel_failover.failsafe import guarded, read
from otel_failover.loops.reaching import base_url_of, reaching
from otel_failover.loops.trying import Tried
from otel_failover.patching import Library, Patch
from otel_failover.run import Run

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_failover.identity import Candidate

_NAME: Final = "livekit"
_PASS: Final = context_api.create_key("failover-livekit")
_PLUGINS: Final = "livekit.plugins."
_WORDS: Final = {"aws": "aws.bedrock", "azure": "azure.ai.openai", "mistralai": "mistral_ai"}


def candidate_of(llm: Any) -> Candidate:
    """Return who an LLM is: its client's host before the plugin that it comes from.

    Args:
        llm: One of the adapter's; its `provider` is no more than its host.
    """
    options = read(llm, "_opts")
    asked = read(options, "model") or read(llm, "model")
    name = asked if isinstance(asked, str) else ""
    module = type(llm).__module__
    word = module.removeprefix(_PLUGINS).partition(".")[0] if module.startswith(_PLUGINS) else ""
    if word == "google":
        word = "gcp.vertex_ai" if read(options, "vertexai") is True else "gcp.gemini"
    if module.startswith("livekit.agents.inference"):
        word, _, name = name.rpartition("/")
    return reaching(_WORDS.get(word, word), name, base_url_of(read(llm, "_client")))


class _Pass:
    """One pass of a `FallbackAdapter`.

    Args:
        adapter: The adapter.
    """

    def __init__(self, adapter: Any) -> None:
        self._llms = tuple(adapter._llm_instances)
        self._members = [candidate_of(each) for each in self._llms]
        ordered = getattr(adapter, "_llm_order", None)
        self._order: list[int] = list(range(len(self._llms))) if ordered is None else list(ordered())
        self.run = Run("chat", self._members, library=_NAME)
        self.over = False
        self._met: set[int] = set()
        self._raised: BaseException | None = None

    def open_aside(self) -> None:
        """Open the run."""
        self.run.open_aside()

    @property
    def context(self) -> Context | None:
        """The run's context, by which this pass is found."""
        inside = self.run.context
        return None if inside is None else context_api.set_value(_PASS, self, inside)

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End the run; where it failed before any output, whoever was not asked was passed over."""
        self.over = True
        if problem is not None and problem is self._raised:
            if len(self._met) < len(self._llms):
                self.run.stop("it failed after output began")
        elif isinstance(problem, Exception):
            self._pass_over(len(self._order))
        self._raised = None
        self.run.leave(problem)

    def _pass_over(self, until: int) -> None:
        for index in self._order[:until]:
            if index not in self._met:
                self._met.add(index)
                self.run.skip(self._members[index], "cooldown")

    def attempt(self, llm: Any, *, probe: bool) -> Tried | None:
        """Return the attempt at one of the adapter's; None for one that it does not have."""
        places = [index for index in self._order if self._llms[index] is llm]
        if not places:
            return None
        if probe:
            return Tried(self.run.attempt(self._members[places[0]], probe=True), _ignored)
        index = next((each for each in places if each not in self._met), places[-1])
        self._pass_over(self._order.index(index))
        self._met.add(index)
        return Tried(self.run.attempt_at(index), self._failed)

    def _failed(self, problem: Exception, began: bool) -> None:
        self._raised = problem if began else None


def _ignored(problem: Exception, began: bool) -> None:
    """A probe's failure ends nothing."""


# --- what is wrapped --------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _pass_of(instance: Any) -> _Pass | None:
    return _Pass(instance._fallback_adapter) if runtime.current().active else None


async def _run(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `FallbackLLMStream._run` with a run."""
    opened = _pass_of(instance)
    if opened is None:
        return await wrapped(*args, **kwargs)
    opened.open_aside()
    try:
        with scope.attached(opened.context):
            result = await wrapped(*args, **kwargs)
    except BaseException as problem:
        opened.leave(problem)
        raise
    opened.leave(None)
    return result


@guarded(fallback=None)
def _attempt_of(chunks: Any, kwargs: dict[str, Any]) -> Tried | None:
    opened = context_api.get_value(_PASS)
    if not isinstance(opened, _Pass) or opened.over or not runtime.current().active:
        return None
    if not inspect.isasyncgen(chunks):
        return None
    return opened.attempt(kwargs["llm"], probe=bool(kwargs.get("check_recovery")))


def _try_generate(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `FallbackLLMStream._try_generate` with an attempt, a probe where it only asks who is back."""
    chunks = wrapped(*args, **kwargs)
    tried = _attempt_of(chunks, kwargs)
    return chunks if tried is None else aiterate(lambda: tried, chunks)


_ADAPTER: Final = "livekit.agents.llm.fallback_adapter"

LIVEKIT: Final = Library(
    _NAME,
    "livekit-agents",
    ">=1.0.2,<2",
    (
        Patch(_ADAPTER, "FallbackLLMStream._run", _run, "one pass of the chain, the same name since 1.0"),
        Patch(_ADAPTER, "FallbackLLMStream._try_generate", _try_generate, "one candidate, for probes too"),
    ),
)
"""What is wrapped of LiveKit Agents."""
