"""The incident: OpenAI is out of quota, Anthropic never answers, and the loop raises OpenAI's words for Anthropic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anthropic
import openai
import pytest

from otel_failover import failover_run
from tests.support.hosts import LoopError

if TYPE_CHECKING:
    from tests.support.hosts import Stand


def played(first: Stand, second: Stand) -> None:
    """Play it.

    Args:
        first: Out of quota.
        second: Hangs.
    """
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.RateLimitError) as stale, run.attempt(first.candidate):
            first.ask()
        with pytest.raises(LoopError), run.attempt(second.candidate):
            with pytest.raises(anthropic.APITimeoutError):
                second.ask()
            raise LoopError(str(stale.value))
