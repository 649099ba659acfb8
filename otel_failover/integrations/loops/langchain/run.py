"""One pass of a chain of LangChain's runnables: its run, who stands in it, and how far its stream got."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.endpoint import endpoint_of
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.shared.declared_candidate import owner_of
from otel_failover.integrations.loops.shared.library_run import MIDWAY, asking, next_place
from otel_failover.integrations.loops.shared.wrappers import Tried

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from otel_failover._core.runs.attempt import Attempt

_DEPTH: Final = 8
_ENDPOINTS: Final = ("anthropic_api_url", "openai_api_base", "azure_endpoint", "base_url", "endpoint_url", "endpoint")
_MODELS: Final = frozenset({"model", "model_name"})


class Pass(Run):
    """One pass of a chain.

    Args:
        runnables: The chain, in order.
        library: Whose loop it is.
    """

    def __init__(self, runnables: Iterable[Any], library: str) -> None:
        self.runnables = tuple(runnables)
        self.began = False
        self._reached: set[int] = set()
        super().__init__("chat", tuple(map(candidate_of, self.runnables)), library=library)

    def next(self, runnable: Any) -> Attempt | None:
        """Return the attempt at a runnable; None where it does not stand in the chain, or the pass is over."""
        if not self.goes_on:
            return None
        place = next_place((index for index, each in enumerate(self.runnables) if each is runnable), self._reached)
        if place is None:
            return None
        self.began = False
        return self.attempt_at(place)

    @property
    def tried_all(self) -> bool:
        """Whether every runnable of the chain was asked."""
        return len(self._reached) == len(self.runnables)

    def leave(self, problem: BaseException | None) -> None:
        """End, once its last stream has ended; once output began, LangChain tries nobody else, and cannot.

        Args:
            problem: The exception that leaves it, if any.
        """
        if self.began and isinstance(problem, Exception) and not self.tried_all:
            self.stop(MIDWAY)
        super().leave(problem)


class Chunks(Tried):
    """An attempt held open around a candidate's generator, which tells its pass that output began."""

    def __init__(self, opened: Pass, attempt: Attempt) -> None:
        super().__init__(attempt)
        self._pass = opened

    def stream_output(self) -> None:
        """Take note that a chunk was handed on."""
        self._pass.began = True
        super().stream_output()


@guarded(fallback=None)
def attempt_in_pass(runnable: Any) -> tuple[Pass, Attempt] | None:
    """Return the current pass and the attempt that a call is: of a runnable of its chain, outside any attempt of it."""
    opened = asking(Pass)
    attempt = opened.next(runnable) if opened is not None else None
    return (opened, attempt) if opened is not None and attempt is not None else None


def run_above(config: Any) -> object:
    """Return the id of the callback run that a call happens below.

    Args:
        config: The call's; where it names none, the one that is current counts.
    """
    current = getattr(sys.modules.get("langchain_core.runnables.config"), "var_child_runnable_config", None)
    for each in (config, current.get() if current is not None else None):
        found = read(each.get("callbacks"), "parent_run_id") if isinstance(each, dict) else None
        if found is not None:
            return found
    return None


# --- who a runnable is ------------------------------------------------------------------------------------------------


def candidate_of(runnable: Any) -> Candidate:
    """Return who a runnable asks: the one model within it.

    With none, or with several, that is not known beforehand: the first call tells.
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
    said, name = _said_of(model)
    if isinstance(bound.get("model"), str):
        name = bound["model"]
    endpoint = _endpoint_of(model)
    return Candidate(owner_of(endpoint) or said, name, endpoint)


def _said_of(model: Any) -> tuple[str, str]:
    """Return provider and model as LangChain tells them to LangSmith."""
    try:
        said = model._get_ls_params()
    except Exception:
        said = {}
    words = (said.get("ls_provider"), said.get("ls_model_name") or read(model, "model_name") or read(model, "model"))
    provider, name = (word if isinstance(word, str) else "" for word in words)
    return provider, name


def _endpoint_of(model: Any) -> str | None:
    """Return where a model is reached: its client's base URL, else what it was told."""
    clients = (read(read(model, name), "base_url") for name in ("root_client", "root_async_client"))
    for url in (*clients, *(read(model, name) for name in _ENDPOINTS)):
        if url is not None and str(url).startswith("http"):
            return endpoint_of(str(url))
    return None
