"""LiveKit Agents: `llm.FallbackAdapter`, from 1.0 on.

A run is one pass of `FallbackLLMStream._run`, an attempt what `FallbackLLMStream._try_generate` generates with one
candidate, LiveKit's own retries inside. After a failure the adapter asks that candidate again beside the next one, in
a task of its own, to see whether it is back: such a probe serves nothing. One that begins after its run has ended
belongs to no run.

A candidate that the adapter takes for unavailable is passed over without a word; it is a skip, recorded where the next
step shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.shared.declared_candidate import base_url_of, candidate_at
from otel_failover.integrations.loops.shared.held_open import NOTHING
from otel_failover.integrations.loops.shared.library_run import LibraryRun, current_run
from otel_failover.integrations.loops.shared.wrappers import OpenDuringGenerator, aaround, steps
from otel_failover.integrations.patching import Library, Patch
from otel_failover.integrations.seams import ASYNC_GENERATOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover._core.domain.candidate import Candidate
    from otel_failover.integrations.loops.shared.held_open import HeldOpen

_NAME: Final = "livekit"
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
    return candidate_at(_WORDS.get(word, word), name, base_url_of(read(llm, "_client")))


class _LivekitRun(LibraryRun):
    """One pass of a `FallbackAdapter`.

    Args:
        adapter: The adapter.
    """

    def __init__(self, adapter: Any) -> None:
        llms = tuple(adapter._llm_instances)
        self._members = [candidate_of(each) for each in llms]
        ordered = getattr(adapter, "_llm_order", None)
        self._order: list[int] = list(range(len(llms))) if ordered is None else list(ordered())
        super().__init__(Run("chat", self._members, library=_NAME), llms)

    def explain(self, problem: BaseException | None) -> None:
        """Record who was passed over, where the loop failed before any output: whoever was not asked."""
        if self.broke_off(problem):
            super().explain(problem)
        elif isinstance(problem, Exception):
            self._pass_over(len(self._order))

    def _pass_over(self, until: int) -> None:
        for index in self._order[:until]:
            if index not in self.asked:
                self.asked.add(index)
                self.run.skip(self._members[index], "cooldown")

    def attempt(self, llm: Any, *, probe: bool) -> HeldOpen:
        """Return the attempt at one of the adapter's; `NOTHING` for one that it does not have."""
        places = [index for index in self._order if self.entries[index] is llm]
        if probe and places:
            return OpenDuringGenerator(self.run.attempt(self._members[places[0]], probe=True))
        index = self.next_place(places)
        if index is None:
            return NOTHING
        self._pass_over(self._order.index(index))
        return OpenDuringGenerator(self.run.attempt_at(index), self.failed)


# --- what is wrapped --------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _run_of(instance: Any, *_: Any) -> HeldOpen:
    """Return a new run of an adapter."""
    return _LivekitRun(instance._fallback_adapter)


@guarded(fallback=NOTHING)
def _attempt_of(_self: Any, _args: Any, kwargs: Mapping[str, Any]) -> HeldOpen:
    """Return the attempt that `_try_generate` is: a probe where it only asks who is back."""
    run = current_run(_LivekitRun)
    return NOTHING if run is None else run.attempt(kwargs["llm"], probe=bool(kwargs.get("check_recovery")))


_ADAPTER: Final = "livekit.agents.llm.fallback_adapter"

LIVEKIT: Final = Library(
    _NAME,
    "livekit-agents",
    ">=1.0.2",
    (
        Patch(_ADAPTER, "FallbackLLMStream._run", aaround(_run_of), "one pass of the chain, the same name since 1.0"),
        Patch(
            _ADAPTER,
            "FallbackLLMStream._try_generate",
            steps(_attempt_of),
            "one candidate, for probes too",
            kind=ASYNC_GENERATOR,
            takes="*, llm, check_recovery",
        ),
    ),
)
"""What is wrapped of LiveKit Agents."""
