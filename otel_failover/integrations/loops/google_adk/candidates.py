"""Who google-adk's models ask, by their classes and clients; nothing is built or imported to find out.

An entry of a chain may be a name, which google-adk makes a model of when it is first tried: until then its registry
says which class that will be. A model whose class is not google-adk's own says nothing but its model's name; its
provider is then the one that its first call shows.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.failsafe import read
from otel_failover.integrations.loops.shared.declared_candidate import base_url_of, candidate_at
from otel_failover.integrations.loops.shared.methods import class_that_defines

_VERTEX: Final = ("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI")


def candidate_of(entry: Any, made: Any = None) -> Candidate:
    """Return who an entry of a chain is.

    Args:
        entry: A model, or a name.
        made: The model that was made of a name, if it was.
    """
    model = entry if made is None else made
    if isinstance(model, str):
        kind, name = _registered(model)
        reader = _READERS.get(kind)
        return reader(None, name) if reader is not None else Candidate("", name)
    said = read(model, "model")
    asked = said if isinstance(said, str) else ""
    readers = (_READERS.get(each.__name__) for each in type(model).__mro__ if _is_adks(each))
    found = next((each for each in readers if each is not None), None)
    return found(model, asked) if found is not None else Candidate("", asked)


def _is_adks(kind: type) -> bool:
    return kind.__module__.startswith("google.adk.")


def _registered(entry: str) -> tuple[str, str]:
    """Return the class that google-adk will make of a name, and the model's own name."""
    registry: Any = read(sys.modules.get("google.adk.models.registry"), "_llm_registry_dict")
    known = {} if not isinstance(registry, Mapping) else dict(registry)
    classes = {pattern: each[1] if isinstance(each, tuple) else each.__name__ for pattern, each in known.items()}
    prefix, colon, rest = entry.partition(":")
    for kind in classes.values() if colon else ():
        if prefix.lower() in (kind.lower(), kind.lower().removesuffix("llm")):
            return kind, rest
    fits = (kind for pattern, kind in classes.items() if re.fullmatch(pattern, entry))
    return next(fits, "LiteLlm" if "/" in entry else ""), entry


def _client_of(model: Any, made: str) -> Any:
    """Return the client that a model has: its own property's once that was asked for, else the one it was given."""
    held: Any = read(model, "__dict__")
    return (held or {}).get(made) or read(model, "client")


def _word(model: Any, client: str, word: str) -> str:
    """Return a provider's word, or nothing where a subclass makes the client: it may be anybody's."""
    owner = class_that_defines(type(model), client)
    return word if owner is None or _is_adks(owner) else ""


# --- by class ---------------------------------------------------------------------------------------------------------


def _gemini(model: Any, name: str) -> Candidate:
    client, given = read(model, "client"), read(model, "client_kwargs")
    options = given if isinstance(given, Mapping) else {}
    if client is not None:
        vertex = bool(read(client, "vertexai"))
    else:
        asked = [options[key] for key in ("enterprise", "vertexai") if options.get(key) is not None]
        vertex = name.startswith("projects/") or (bool(asked[0]) if asked else _by_environment())
    http = options.get("http_options")
    url = base_url_of(client) if client is not None else read(model, "base_url")
    url = url or (http.get("base_url") if isinstance(http, Mapping) else read(http, "base_url"))
    return candidate_at(_word(model, "api_client", "gcp.vertex_ai" if vertex else "gcp.gemini"), name, url)


def _by_environment() -> bool:
    return any(os.environ.get(key, "").lower() in ("1", "true") for key in _VERTEX)


def _anthropic(model: Any, name: str) -> Candidate:
    url = base_url_of(_client_of(model, "_anthropic_client")) or os.environ.get("ANTHROPIC_BASE_URL")
    return candidate_at(_word(model, "_anthropic_client", "anthropic"), name, url)


def _claude(model: Any, name: str) -> Candidate:
    url = base_url_of(_client_of(model, "_anthropic_client"))
    return candidate_at(_word(model, "_anthropic_client", "gcp.vertex_ai"), name, url)


def _openai(model: Any, name: str) -> Candidate:
    client = _client_of(model, "_openai_client")
    url = base_url_of(client) or read(model, "base_url") or os.environ.get("OPENAI_BASE_URL")
    return candidate_at(_word(model, "_openai_client", "openai"), name, url)


def _litellm(model: Any, name: str) -> Candidate:
    given = read(model, "_additional_args")
    options = given if isinstance(given, Mapping) else {}
    prefix, _, rest = name.rpartition("/") if "/" not in name else name.partition("/")
    word = options.get("custom_llm_provider") or prefix
    return candidate_at(word, rest, options.get("api_base") or options.get("base_url"))


def _apigee(model: Any, name: str) -> Candidate:
    url = read(model, "_proxy_url") or os.environ.get("APIGEE_PROXY_URL")
    return candidate_at("apigee", name.rpartition("/")[2], url)


def _chain(_: Any, name: str) -> Candidate:
    return Candidate("fallback", name)


_READERS: Final = {
    "Gemini": _gemini,
    "AnthropicLlm": _anthropic,
    "Claude": _claude,
    "OpenAILlm": _openai,
    "LiteLlm": _litellm,
    "ApigeeLlm": _apigee,
    "FallbackModel": _chain,
}
