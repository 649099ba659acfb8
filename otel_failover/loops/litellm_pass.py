"""One pass of a loop of litellm's: its run, who stands in its chain, and what is passed over.

A pass is found by the OpenTelemetry context, under a key of its own: its run is never current, since litellm's own
callbacks ask which span is.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover import identity, runtime, scope
from otel_failover.failsafe import guarded, read, text_of
from otel_failover.identity import Candidate
from otel_failover.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.context import Context

    from otel_failover.attempt import Attempt

NAME: Final = "litellm"
PASS: Final = context_api.create_key("failover-litellm")

_GENERATED: Final = re.compile(r"[0-9a-f]{32,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Ids that litellm makes up; one of them is a hash over what the deployment is made of, its key included."""


_MIDWAY: Final = "it failed after output began"


class Pass:
    """One pass of a loop.

    Args:
        operation: What is asked for.
        name: The model group, or the first model.
        chain: The candidates in order; None where the loop's choice is not known beforehand.
        router: The `Router`; None for `completion(fallbacks=[...])`.
    """

    def __init__(self, operation: str, name: str, chain: list[Candidate] | None, router: Any = None) -> None:
        self.run = Run(operation, chain, library=NAME, name=name)
        self.router, self.over, self.tried = router, False, 0
        self._declared = chain or []
        self._began = False
        self._outside = context_api.get_current()

    def open_aside(self) -> None:
        """Open the run without making it current."""
        self._outside = context_api.get_current()
        self.run.open_aside()

    @property
    def context(self) -> Context:
        """The host's own context, by which this pass is found."""
        return context_api.set_value(PASS, self)

    def stream_output(self) -> None:
        """Take note that something was handed on; the attempts tell what matters of it."""

    def leave(self, problem: BaseException | None) -> None:
        """End the run, once its last stream has ended.

        Args:
            problem: The exception that leaves it, if any.
        """
        self.over = True
        if self._began and isinstance(problem, Exception):
            self.run.stop(_MIDWAY)
        self.run.leave(problem)

    def attempt(self, asked: Mapping[str, Any]) -> Attempt:
        """Return the next attempt.

        Args:
            asked: The arguments of `litellm.acompletion` and its like.
        """
        self.tried += 1
        self._began = False
        candidate = candidate_of(asked, self._profile(asked))
        index = next((at for at, each in enumerate(self._declared) if each.is_like(candidate)), -1)
        if index >= 0 and candidate not in self._declared:
            return self.run.attempt_at(index, candidate)
        return self.run.attempt(candidate)

    def failed(self, *, began: bool) -> None:
        """Take note that a stream failed; after its output began, nobody else is asked."""
        self._began = began
        if began and self.over:
            self.run.stop(_MIDWAY)

    def _profile(self, asked: Mapping[str, Any]) -> str | None:
        """Return the label of the deployment that a router has chosen."""
        info, metadata = (asked.get(each) or {} for each in ("model_info", "metadata"))
        group = metadata.get("model_group") or (asked.get("litellm_metadata") or {}).get("model_group")
        if self.router is None or not isinstance(group, str):
            return None
        ids = [_id_of(each) for each in deployments_of(self.router, group)]
        return _label(group, ids, info.get("id"))

    @guarded(fallback=None)
    def passed_over(self, group: object, problem: Exception) -> None:
        """Take note that a group failed though nobody was asked.

        Args:
            group: The model group.
            problem: What the router says of it: no provider's error, whatever status it bears.
        """
        reason = _reason(problem)
        for candidate in candidates_of(self.router, text_of(group)) or [Candidate("", text_of(group))]:
            self.run.skip(candidate, reason)

    def outside(self) -> Context:
        """Return the current context as it would be without us: for what asks which span is current."""
        current, attempt = context_api.get_current(), scope.attempt_in()
        keys = [PASS, scope.ATTEMPT, scope.RUN, scope.CALL]
        if attempt is not None and current.get(scope._SPAN_KEY) is attempt._own.span:
            keys.append(scope._SPAN_KEY)
        return context_api.Context({**current, **{key: self._outside.get(key) for key in keys}})


def current() -> Pass | None:
    """Return the pass of this context, while it goes on."""
    found = context_api.get_value(PASS)
    return found if isinstance(found, Pass) and not found.over and runtime.current().active else None


def is_trying(opened: Pass) -> bool:
    """Whether a candidate of a pass is being asked: what happens then is its own, and no step of the pass."""
    attempt = scope.attempt_in()
    return attempt is not None and attempt._run is opened.run and attempt.live


def _reason(problem: Exception) -> str:
    kind, text = type(problem).__name__, text_of(problem)
    if "crossed budget" in text:
        return "budget"
    if kind in ("RouterRateLimitError", "RouterRateLimitErrorBasic"):
        return "cooldown"
    return "not_configured" if "no healthy deployments" in text else kind


# --- who a candidate is -----------------------------------------------------------------------------------------------


def candidate_of(params: Mapping[str, Any], profile: str | None = None) -> Candidate:
    """Return who is asked.

    The provider is that of a known host, else litellm's own word for it; the model is named as the provider does.

    Args:
        params: `litellm_params` of a deployment, or the arguments of a call.
        profile: The deployment's label.
    """
    word, given = (text_of(params.get(each) or "") for each in ("custom_llm_provider", "model"))
    url = params.get("api_base") or params.get("base_url")
    endpoint = identity.endpoint_of(url) if isinstance(url, str) and url else None
    provider, model = _split(word, given)
    return Candidate(_at(endpoint) or provider, model, endpoint, profile)


def _at(endpoint: str | None) -> str | None:
    host, active = identity.host_of(endpoint) if endpoint else "", runtime.current()
    return active.provider_alias(host) or (None if host in active.gateways else identity.provider_of_host(host))


def _split(word: str, model: str) -> tuple[str, str]:
    """Return provider and model of `openai/gpt-5.5`, or of a bare model that litellm knows."""
    package = sys.modules.get("litellm")
    before, slash, name = model.partition("/")
    if slash and (before == word or (not word and before in (read(package, "provider_list") or ()))):
        return before, name
    known: Any = read(package, "model_cost") or {}
    said = text_of((known.get(model) or {}).get("litellm_provider") or "")
    return word or ("vertex_ai" if said.startswith("vertex_ai") else said), model


def deployments_of(router: Any, group: str) -> list[Mapping[str, Any]]:
    """Return a group's deployments, an alias's and a wildcard's included, as the router holds them."""
    return list(router.get_model_list(model_name=group) or ())


def candidates_of(router: Any, group: str) -> list[Candidate]:
    """Return a group's deployments as candidates."""
    found = deployments_of(router, group)
    ids = [_id_of(each) for each in found]
    return [candidate_of(each["litellm_params"], _label(group, ids, _id_of(each))) for each in found]


def _id_of(deployment: Mapping[str, Any]) -> object:
    return (deployment.get("model_info") or {}).get("id")


def _label(group: str, ids: list[object], chosen: object) -> str:
    """Return the host's label of a deployment: its id where the host gave one, else its group and place in it."""
    if isinstance(chosen, str) and chosen and not _GENERATED.fullmatch(chosen):
        return chosen
    return f"{group} #{ids.index(chosen)}" if len(ids) > 1 and chosen in ids else group


# --- the chain --------------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def chain_of(router: Any, kwargs: Mapping[str, Any]) -> list[Candidate] | None:
    """Return the chain of a router's pass, where it is known beforehand.

    It is not where a group holds several deployments, which share its load; where the kind of error decides who
    follows; and where the call brings fallbacks of its own.

    Args:
        router: The router.
        kwargs: Of the call.
    """
    special = ("context_window_fallbacks", "content_policy_fallbacks")
    if any(kwargs.get(each) or read(router, each) for each in special) or kwargs.get("fallbacks"):
        return None
    groups = list(_groups(router, text_of(kwargs.get("model")), bool(kwargs.get("disable_fallbacks"))))
    found = [candidates_of(router, each) for each in groups]
    if len(groups) > int(kwargs.get("max_fallbacks") or router.max_fallbacks) + 1:
        return None
    return [each[0] for each in found] if all(len(each) == 1 for each in found) else None


def _groups(router: Any, first: str, disabled: bool) -> Iterator[str]:
    """Yield a group, those it falls back to, and theirs, each once."""
    chosen_for: Any = read(sys.modules.get("litellm.router_utils.fallback_event_handlers"), "get_fallback_model_group")
    waiting, seen = [first], set[str]()
    while waiting:
        group = waiting.pop(0)
        if group in seen:
            continue
        seen.add(group)
        yield group
        # A copy: litellm takes out of the list what it finds there.
        listed = None if disabled else chosen_for(list(router.fallbacks or ()), group)[0]
        waiting[:0] = [each if isinstance(each, str) else text_of(each.get("model")) for each in listed or ()]


@guarded(fallback=None)
def chain_of_models(asked: Mapping[str, Any]) -> list[Candidate]:
    """Return the chain of `completion(fallbacks=[...])`: the model, then the others, which inherit what it was given.

    Args:
        asked: The arguments of `async_completion_with_fallbacks`.
    """
    nested = asked.get("kwargs") or {}
    base = {**asked, **nested}
    others = [each if isinstance(each, dict) else {"model": each} for each in nested.get("fallbacks") or ()]
    return [candidate_of(base), *(candidate_of({**base, **each}) for each in others)]
