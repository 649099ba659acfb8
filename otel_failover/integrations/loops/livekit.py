"""LiveKit Agents: `llm.FallbackAdapter`, from 1.0 on.

A run is one pass of `FallbackLLMStream._run`, an attempt what `FallbackLLMStream._try_generate` generates with one
candidate, LiveKit's own retries inside. After a failure the adapter asks that candidate again beside the next one, in
a task of its own, to see whether it is back: such a probe serves nothing. One that begins after its run has ended
belongs to no run.

A candidate that the adapter takes for unavailable is passed over without a word; it is a skip, told where the next
step shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core.config import runtime
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.shared.declared_candidate import base_url_of, reaching
from otel_failover.integrations.loops.shared.held_open import NOTHING
from otel_failover.integrations.loops.shared.library_run import MIDWAY, KeyedPass, next_place, pass_in
from otel_failover.integrations.loops.shared.wrappers import Tried, aaround, steps
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover._core.domain.candidate import Candidate
    from otel_failover._core.runs.functions import Opened
    from otel_failover.integrations.loops.shared.held_open import Openable

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


class _Pass(KeyedPass):
    """One pass of a `FallbackAdapter`.

    Args:
        adapter: The adapter.
    """

    def __init__(self, adapter: Any) -> None:
        self._llms = tuple(adapter._llm_instances)
        self._members = [candidate_of(each) for each in self._llms]
        ordered = getattr(adapter, "_llm_order", None)
        self._order: list[int] = list(range(len(self._llms))) if ordered is None else list(ordered())
        super().__init__(_PASS, Run("chat", self._members, library=_NAME))
        self._raised: BaseException | None = None

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End the run; where it failed before any output, whoever was not asked was passed over."""
        if problem is not None and problem is self._raised:
            if len(self.asked) < len(self._llms):
                self.run.stop(MIDWAY)
        elif isinstance(problem, Exception):
            self._pass_over(len(self._order))
        self._raised = None
        super().leave(problem)

    def _pass_over(self, until: int) -> None:
        for index in self._order[:until]:
            if index not in self.asked:
                self.asked.add(index)
                self.run.skip(self._members[index], "cooldown")

    def attempt(self, llm: Any, *, probe: bool) -> Openable:
        """Return the attempt at one of the adapter's; `NOTHING` for one that it does not have."""
        places = [index for index in self._order if self._llms[index] is llm]
        if probe and places:
            return Tried(self.run.attempt(self._members[places[0]], probe=True))
        index = next_place(places, self.asked)
        if index is None:
            return NOTHING
        self._pass_over(self._order.index(index))
        return Tried(self.run.attempt_at(index), self._failed)

    def _failed(self, problem: Exception, began: bool) -> None:
        self._raised = problem if began else None


# --- what is wrapped --------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _pass_of(instance: Any, *_: Any) -> Openable:
    """Return a new pass of an adapter."""
    return _Pass(instance._fallback_adapter) if runtime.current().active else NOTHING


@guarded(fallback=NOTHING)
def _attempt_of(_self: Any, _args: Any, kwargs: Mapping[str, Any]) -> Opened:
    """Return the attempt that `_try_generate` is: a probe where it only asks who is back."""
    opened = pass_in(_Pass, _PASS)
    return NOTHING if opened is None else opened.attempt(kwargs["llm"], probe=bool(kwargs.get("check_recovery")))


_ADAPTER: Final = "livekit.agents.llm.fallback_adapter"

LIVEKIT: Final = Library(
    _NAME,
    "livekit-agents",
    ">=1.0.2,<2",
    (
        Patch(_ADAPTER, "FallbackLLMStream._run", aaround(_pass_of), "one pass of the chain, the same name since 1.0"),
        Patch(_ADAPTER, "FallbackLLMStream._try_generate", steps(_attempt_of), "one candidate, for probes too"),
    ),
)
"""What is wrapped of LiveKit Agents."""
