"""Who the runnables of LangChain ask, and what they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.endpoint import endpoint_of
from otel_failover._core.failsafe import read
from otel_failover.integrations.loops.shared.declared_candidate import owner_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_DEPTH: Final = 8
_ENDPOINTS: Final = ("anthropic_api_url", "openai_api_base", "azure_endpoint", "base_url", "endpoint_url", "endpoint")
_MODELS: Final = frozenset({"model", "model_name"})


def candidate_of(runnable: Any) -> Candidate:
    """Return who a runnable asks: the one model within it.

    With none, or with several, that is not known beforehand: the first call shows it.
    """
    found = list(dict.fromkeys(_models_of(runnable, {}, _DEPTH)))
    return found[0] if len(found) == 1 else Candidate("", "", None, _name_of(runnable))


def _name_of(runnable: Any) -> str:
    name = read(runnable, "name")
    return name if isinstance(name, str) and name else type(runnable).__name__


def _models_of(runnable: Any, bound: Mapping[str, Any], depth: int) -> Iterator[Candidate]:
    """Yield who the models within a runnable are."""
    if is_model(runnable):
        yield _asked(runnable, bound)
    elif depth:
        inner = [each for part, more in parts_of(runnable) for each in _models_of(part, {**bound, **more}, depth - 1)]
        nested = "fallbacks" in _fields_of(runnable)
        yield from [Candidate("fallback", ",".join(each.model for each in inner))] if nested else inner


def is_model(runnable: Any) -> bool:
    """Whether a runnable is a model, which nothing more is below of."""
    return hasattr(type(runnable), "_get_ls_params")


def _fields_of(runnable: Any) -> Collection[str]:
    found: Collection[str] = getattr(type(runnable), "model_fields", ())
    return found


def parts_of(runnable: Any) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Yield what a runnable is made of, with what it binds.

    Below a binding, in a sequence, in the values of a parallel one, in a chain of fallbacks. What is configured later,
    a model's name or which of several alternatives, is not known beforehand.

    Args:
        runnable: Any of LangChain's.
    """
    fields = _fields_of(runnable)
    if "bound" in fields:
        yield runnable.bound, runnable.kwargs
    elif "fallbacks" in fields:
        yield from ((part, {}) for part in (runnable.runnable, *runnable.fallbacks))
    elif "default" in fields and "alternatives" not in fields:
        yield runnable.default, {"model": ""} if not _MODELS.isdisjoint(runnable.fields) else {}
    elif "steps__" in fields:
        yield from ((step, {}) for step in runnable.steps__.values())
    elif "first" in fields:
        yield from ((step, {}) for step in runnable.steps)


def _asked(model: Any, bound: Mapping[str, Any]) -> Candidate:
    """Return who a model is: a known host's provider before LangChain's word, which names the SDK's for gateways."""
    word, name = _said_of(model)
    if isinstance(bound.get("model"), str):
        name = bound["model"]
    url = _base_url_of(model)
    endpoint = endpoint_of(url) if url is not None else None
    return Candidate(owner_of(endpoint) or word, name, url if endpoint else None)


def _said_of(model: Any) -> tuple[str, str]:
    """Return provider and model as LangChain reports them to LangSmith."""
    try:
        said = model._get_ls_params()
    except Exception:
        said = {}
    words = (said.get("ls_provider"), said.get("ls_model_name") or read(model, "model_name") or read(model, "model"))
    provider, name = (word if isinstance(word, str) else "" for word in words)
    return provider, name


def _base_url_of(model: Any) -> str | None:
    """Return where a model is reached: its client's base URL, else the one that it was given."""
    clients = (read(read(model, name), "base_url") for name in ("root_client", "root_async_client"))
    for url in (*clients, *(read(model, name) for name in _ENDPOINTS)):
        if url is not None and str(url).startswith("http"):
            return str(url)
    return None
