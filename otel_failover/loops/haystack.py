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

from otel_failover import identity, runtime, scope
from otel_failover.failsafe import guarded, read
from otel_failover.identity import Candidate
from otel_failover.loops import declared
from otel_failover.loops.holding import NOTHING
from otel_failover.patching import Library, Patch
from otel_failover.run import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover.attempt import Attempt
    from otel_failover.decorating import Opened

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


class _Pass(Run):
    """One pass of a `FallbackChatGenerator`.

    Args:
        generators: Its generators, in order.
    """

    def __init__(self, generators: list[Any]) -> None:
        super().__init__("chat", tuple(map(candidate_of, generators)), library=NAME)
        self._generators, self._tried = generators, -1

    def next_at(self, generator: object) -> Attempt | None:
        """Return the attempt at a generator; None where it does not stand in what is left of the chain.

        Args:
            generator: The object; one that is listed twice is asked twice.
        """
        places = range(self._tried + 1, len(self._generators))
        index = next((place for place in places if self._generators[place] is generator), None)
        if index is None:
            return None
        self._tried = index
        return self.attempt_at(index)


def candidate_of(generator: Any) -> Candidate:
    """Return who a chat generator is.

    Args:
        generator: A component; another `FallbackChatGenerator` is a run of its own inside its attempt.
    """
    if type(generator).__name__ == "FallbackChatGenerator":
        return Candidate("fallback", "")
    model = read(generator, "model") or read(generator, "azure_deployment")
    return declared.candidate(_word_of(type(generator)), model, generator)


def _word_of(kind: type) -> str:
    """Return the provider that a generator's class is named after: `OpenAIResponsesChatGenerator` after OpenAI."""
    for each in kind.__mro__:
        name = each.__name__
        for suffix in _SUFFIXES:
            name = name.removesuffix(suffix)
        word = _WORDS.get(name) or identity.canonical(name)
        if word in identity.PROVIDERS or (name and each.__module__.startswith("haystack_integrations.")):
            return word
    return ""


# --- one pass ---------------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _pass_of(instance: Any) -> Opened:
    return _Pass(list(instance.chat_generators)) if runtime.current().active else NOTHING


def _run(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `FallbackChatGenerator.run` with a run."""
    opened = _pass_of(instance)
    with opened:
        return wrapped(*args, **kwargs)


async def _run_async(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `FallbackChatGenerator.run_async` with a run."""
    opened = _pass_of(instance)
    with opened:
        return await wrapped(*args, **kwargs)


# --- one candidate ----------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _attempt_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Attempt | None:
    """Return the attempt that a call is; None outside a pass, and inside an attempt of it."""
    run, current = scope.run_in(), scope.attempt_in()
    if not isinstance(run, _Pass) or (current is not None and current._run is run):
        return None
    return run.next_at(args[0] if args else kwargs["gen"])


def _ask(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap what asks one generator with an attempt; Haystack may yet fail to read what it answers."""
    attempt = _attempt_of(args, kwargs)
    if attempt is None:
        return wrapped(*args, **kwargs)
    with attempt:
        result = wrapped(*args, **kwargs)
        attempt.answered()
    return result


async def _ask_async(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap what asks one generator, asynchronously, with an attempt."""
    attempt = _attempt_of(args, kwargs)
    if attempt is None:
        return await wrapped(*args, **kwargs)
    with attempt:
        result = await wrapped(*args, **kwargs)
        attempt.answered()
    return result


_FALLBACK: Final = "haystack.components.generators.chat.fallback"

HAYSTACK: Final = Library(
    NAME,
    "haystack-ai",
    ">=2.19,<4",
    (
        Patch(_FALLBACK, "FallbackChatGenerator.run", _run, "one pass of the chain, unchanged since 2.19"),
        Patch(_FALLBACK, "FallbackChatGenerator.run_async", _run_async, "one pass of the chain, asynchronous"),
        Patch(_FALLBACK, "FallbackChatGenerator._run_single_sync", _ask, "one generator; private, as in 2.19"),
        Patch(_FALLBACK, "FallbackChatGenerator._run_single_async", _ask_async, "the same, asynchronous"),
    ),
)
