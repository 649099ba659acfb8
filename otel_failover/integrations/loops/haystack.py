"""Haystack: `FallbackChatGenerator`, from 2.19 on.

A run is one pass of `FallbackChatGenerator.run` or `.run_async`. A candidate is asked through `_run_single_sync` or
`_run_single_async`, one call for each generator, in order; Haystack 3 opens its own span `haystack.chat_generator.run`
below that, so it stands inside the candidate's. An answer that Haystack then cannot read is `rejected`, since the loop
goes on. The final `RuntimeError` has Haystack's text and no cause: it is the run's report.

The provider is the generator's class, or the first of its bases, that Haystack and its integrations name after one; a
base URL of a known host says it better. Output that began is seen in the provider's stream, so only where the SDK below
is supported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import providers
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.shared.declared_candidate import declared_candidate
from otel_failover.integrations.loops.shared.held_open import NOTHING
from otel_failover.integrations.loops.shared.library_run import LibraryRun, run_between_attempts
from otel_failover.integrations.loops.shared.wrappers import OpenDuringCall, aaround, around
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from otel_failover._core.runs.attempt import Attempt

NAME: Final = "haystack"
_SUFFIXES: Final = ("ChatGenerator", "Responses")
_WORDS: Final = {
    "AmazonBedrock": "aws.bedrock",
    "AnthropicFoundry": "azure.ai.inference",
    "AnthropicVertex": "gcp.vertex_ai",
    "AzureOpenAI": "azure.ai.openai",
    "GoogleAIGemini": "gcp.gemini",
    "GoogleGenAI": "gcp.gemini",
    "HuggingFaceAPI": "hugging_face",
    "TogetherAI": "together_ai",
    "VertexAIGemini": "gcp.vertex_ai",
}
"""Names of Haystack's generators that say a provider otherwise than anybody else does."""


class _HaystackRun(LibraryRun):
    """One pass of a `FallbackChatGenerator`.

    Args:
        generators: Its generators, in order.
    """

    def __init__(self, generators: list[Any]) -> None:
        super().__init__(Run("chat", tuple(map(candidate_of, generators)), library=NAME), generators)
        self._latest = -1

    def attempt(self, generator: object) -> Attempt | None:
        """Return the attempt at a generator; None where it does not stand in what is left of the chain.

        Args:
            generator: The object; one that is listed twice is asked twice.
        """
        index = next((place for place in self.places_of(generator) if place > self._latest), None)
        if index is None:
            return None
        self._latest = index
        return self.run.attempt_at(index)


def candidate_of(generator: Any) -> Candidate:
    """Return who a chat generator is.

    Args:
        generator: A component; another `FallbackChatGenerator` is a run of its own inside its attempt.
    """
    if type(generator).__name__ == "FallbackChatGenerator":
        return Candidate("fallback", "")
    model = read(generator, "model") or read(generator, "azure_deployment")
    return declared_candidate(_word_of(type(generator)), model, generator)


def _word_of(kind: type) -> str:
    """Return the provider that a generator's class is named after: `OpenAIResponsesChatGenerator` after OpenAI."""
    for each in kind.__mro__:
        name = each.__name__
        for suffix in _SUFFIXES:
            name = name.removesuffix(suffix)
        word = _WORDS.get(name) or providers.canonical(name)
        if word in providers.PROVIDERS or (name and each.__module__.startswith("haystack_integrations.")):
            return word
    return ""


# --- what is wrapped --------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _run_of(instance: Any, *_: Any) -> AbstractContextManager[Any]:
    """Return a new run of a `FallbackChatGenerator`."""
    return _HaystackRun(list(instance.chat_generators))


@guarded(fallback=NOTHING)
def _attempt_of(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Return the attempt that a call is; Haystack may yet fail to read what the generator answers."""
    run = run_between_attempts(_HaystackRun)
    attempt = None if run is None else run.attempt(args[0] if args else kwargs["gen"])
    return NOTHING if attempt is None else OpenDuringCall(attempt)


_FALLBACK: Final = "haystack.components.generators.chat.fallback"

HAYSTACK: Final = Library(
    NAME,
    "haystack-ai",
    ">=2.19",
    (
        Patch(
            _FALLBACK,
            "FallbackChatGenerator.run",
            around(_run_of),
            "one pass of the chain, unchanged since 2.19",
            group="run",
        ),
        Patch(
            _FALLBACK,
            "FallbackChatGenerator.run_async",
            aaround(_run_of),
            "one pass of the chain, asynchronous",
            group="run_async",
        ),
        Patch(
            _FALLBACK,
            "FallbackChatGenerator._run_single_sync",
            around(_attempt_of),
            "one generator; private, as in 2.19",
            takes="gen",
            group="run",
        ),
        Patch(
            _FALLBACK,
            "FallbackChatGenerator._run_single_async",
            aaround(_attempt_of),
            "the same, asynchronous",
            takes="gen",
            group="run_async",
        ),
    ),
)
