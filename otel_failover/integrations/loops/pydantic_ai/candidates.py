"""Who pydantic-ai's models are."""

from __future__ import annotations

from typing import Any

from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.failsafe import read
from otel_failover.integrations.loops.shared.declared_candidate import candidate_at


def candidate_of(model: Any) -> Candidate:
    """Return who a model is: a known host's provider before pydantic-ai's word, which names the SDK's for gateways.

    Args:
        model: A model, or its name like `openai:gpt-5.5`.
    """
    if isinstance(model, str):
        word, _, called = model.rpartition(":")
        return Candidate(word.removesuffix("-chat").removesuffix("-responses"), called)
    name, system, url = (read(model, each) for each in ("model_name", "system", "base_url"))
    if isinstance(system, str) and system.startswith("fallback:"):
        return Candidate("fallback", name if isinstance(name, str) else "")
    return candidate_at(system, name, url if isinstance(url, str) else None)
