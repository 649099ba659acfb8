"""Whom another instrumentation's span of a call names, where nobody else knows the host; and what that is worth.

Imported late: only for a call to a host that no table, alias or chain knows, inside such a span.

Most producers write a constant of the SDK that they wrap, whatever its base URL: it says no more than the SDK does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import providers
from otel_failover._core.domain.attributes import GEN_AI_OPERATION, GEN_AI_PROVIDER, GEN_AI_REQUEST_MODEL, SCOPE
from otel_failover._core.failsafe import read

if TYPE_CHECKING:
    from otel_failover._core.domain.asked import Asked

_KEYS: Final = (GEN_AI_PROVIDER, "gen_ai.system", "llm.provider")
_INFERENCES: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
_PROTOCOL: Final = "openai"
"""What every producer says for whatever speaks OpenAI's format; litellm too, for an `openai/…` at one's own host."""

_ALL: Final = frozenset(_KEYS)
_NONE: Final[frozenset[str]] = frozenset()
WORTH: Final[dict[str, frozenset[str]]] = {
    SCOPE: _NONE,  # ours
    "opentelemetry.instrumentation.openai_v2": _NONE,  # a constant
    "opentelemetry.instrumentation.openai": _ALL,  # OpenLLMetry: of the URL, and `openai` for any other
    "opentelemetry.instrumentation.langchain": _ALL,  # of the model's class
    "opentelemetry.instrumentation.llamaindex": _ALL,  # of the model's class
    "opentelemetry.instrumentation": _NONE,  # one SDK each, and its constant
    "opentelemetry.util.genai": _NONE,  # the same
    "openinference.instrumentation": frozenset({"llm.provider"}),  # of the host; `llm.system` is the protocol
    "com.anthropic.sdk": _NONE,  # a constant
    "openlit": _NONE,  # constants
    "sentry": _NONE,  # constants
    "sentry_sdk": _NONE,  # constants
    "logfire.openai": _NONE,  # a constant
    "logfire.anthropic": _NONE,  # a constant
    "langsmith": _NONE,  # guessed from the model's name
    "livekit": _NONE,  # of the adapter around
    "litellm": _ALL,  # the router's deployment
    "pydantic-ai": _ALL,  # the provider that the model was made with
}
"""Which keys are believed of a producer, by how its scope begins, the longest that fits; of one's own spans, all."""


def provider_on(span: object, asked: Asked) -> str:
    """Return the provider that the span of a call names; empty where it names none, or only the SDK.

    Args:
        span: The recording span in which the call is made.
        asked: What is asked.
    """
    said: Any = read(span, "attributes")
    if not isinstance(said, Mapping) or not _is_this_inference(said, asked):
        return ""
    scope = read(read(span, "instrumentation_scope"), "name")
    believed = worth_of(scope if isinstance(scope, str) else "")
    word = next((said[key] for key in _KEYS if key in believed and isinstance(said.get(key), str)), "")
    # A framework's own name, or a list of several, is no provider's.
    known = providers.canonical(word) if word else ""
    if providers.metric_value(known) == providers.OTHER or known in (_PROTOCOL, asked.provider):
        return ""
    return known


def worth_of(scope: str) -> frozenset[str]:
    """Return the keys that are believed of a producer.

    Args:
        scope: Of its tracer.
    """
    begins = [each for each in WORTH if scope == each or scope.startswith((f"{each}.", f"{each}-", f"{each}/"))]
    return WORTH[max(begins, key=len)] if begins else _ALL


def _is_this_inference(said: Mapping[str, Any], asked: Asked) -> bool:
    """Whether a span is one inference, and by its model this one; an agent's holds several."""
    is_one = said.get(GEN_AI_OPERATION) in _INFERENCES or bool(said.get("llm.request.type"))
    if not is_one and said.get("openinference.span.kind") != "LLM":
        return False
    model = said.get(GEN_AI_REQUEST_MODEL) or said.get("llm.model_name")
    if not isinstance(model, str) or not asked.model:
        return True
    return model.rpartition("/")[2] == asked.model.rpartition("/")[2]
