"""Who stands in a loop of litellm's: deployments of a router, or the models of one call, as candidates."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.endpoint import endpoint_of
from otel_failover._core.failsafe import guarded, read, text_of
from otel_failover.integrations.loops.shared.declared_candidate import owner_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_GENERATED: Final = re.compile(r"[0-9a-f]{32,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Ids that litellm makes up; one of them is a hash over what the deployment is made of, its key included."""


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
    endpoint = endpoint_of(url) if isinstance(url, str) and url else None
    provider, model = _split(word, given)
    return Candidate(owner_of(endpoint) or provider, model, url if endpoint else None, profile)


def _split(word: str, model: str) -> tuple[str, str]:
    """Return provider and model of `openai/gpt-5.5`, or of a bare model that litellm knows."""
    package = sys.modules.get("litellm")
    known_words: Any = read(package, "provider_list") or ()
    before, slash, name = model.partition("/")
    if slash and (before == word or (not word and before in known_words)):
        return before, name
    known: Any = read(package, "model_cost") or {}
    said = text_of((known.get(model) or {}).get("litellm_provider") or "")
    return word or ("vertex_ai" if said.startswith("vertex_ai") else said), model


def deployments_of(router: Any, group: str) -> list[Mapping[str, Any]]:
    """Return a group's deployments, an alias's and a wildcard's included, as the router holds them.

    From 1.109 on they are asked of its registry: the old way still works, with a warning in the host's process.
    """
    registry = getattr(router, "registry", None)
    found = registry().deployments(group) if registry is not None else router.get_model_list(model_name=group)
    return list(found or ())


def _setting(router: Any, name: str) -> Any:
    """Return a setting of a router; from 1.109 on they have a place of their own, as the deployments have."""
    settings = getattr(router, "settings", None)
    return read(settings() if settings is not None else router, name)


def candidates_of(router: Any, group: str, order: object = None) -> list[Candidate]:
    """Return a group's deployments as candidates.

    Args:
        router: The router.
        group: The group's name.
        order: Only those of this order, where a router goes by that.
    """
    found = deployments_of(router, group)
    ids = [id_of(each) for each in found]
    meant = [each for each in found if order is None or each["litellm_params"].get("order") == order]
    return [candidate_of(each["litellm_params"], label_of(group, ids, id_of(each))) for each in meant]


def id_of(deployment: Mapping[str, Any]) -> object:
    """Return a deployment's id, the host's or one that litellm made up."""
    return (deployment.get("model_info") or {}).get("id")


def label_of(group: str, ids: list[object], chosen: object) -> str:
    """Return the host's label of a deployment: its id where the host gave one, else its group and place in it.

    Args:
        group: The model group.
        ids: Of its deployments, in order.
        chosen: The deployment's.
    """
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
    if any(kwargs.get(each) or _setting(router, each) for each in special) or kwargs.get("fallbacks"):
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
        listed = None if disabled else chosen_for(list(_setting(router, "fallbacks") or ()), group)[0]
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
