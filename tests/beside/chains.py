"""The ways that a chain of two goes, as each framework is asked to go them beside its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_failover.testing.providers import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.beside.counting import Beside

_SERVED: Final = (Answer.ok("fine"),)


@dataclass(frozen=True)
class Path:
    """What two candidates answer.

    Attributes:
        first: The first one's answers, in order.
        second: The second one's.
        retries: How often the first one's SDK tries again by itself.
    """

    first: tuple[Answer, ...]
    second: tuple[Answer, ...] = _SERVED
    retries: int = 0


def paths(*, quota: Answer, missing: Answer, broken: Answer) -> dict[str, Path]:
    """Return the ways that end with an answer or an error, by name; each may be streamed too.

    Args:
        quota: The first one's 429.
        missing: Its 404.
        broken: Its 500 or 503.
    """
    return {
        "first serves": Path(_SERVED),
        "second serves after a 429": Path((quota,)),
        "second serves after a 404": Path((missing,)),
        "second serves after a 500": Path((broken,)),
        "second serves after a reset": Path((Answer.reset(),)),
        "both fail": Path((quota,), (Answer.anthropic_not_found(),)),
        "both fail with a 429": Path((quota,), (Answer.anthropic_rate_limit(),)),
        "both fail without an answer": Path((Answer.reset(),), (Answer.reset(),)),
        "a retry serves": Path((broken, *_SERVED), retries=1),
        "second serves after a retry": Path((broken,), retries=1),
    }


OPENAI: Final = paths(
    quota=Answer.openai_quota(), missing=Answer.openai_model_not_found(), broken=Answer.openai_server_error()
)
GEMINI: Final = paths(quota=Answer.gemini_quota(), missing=Answer.gemini_not_found(), broken=Answer.gemini_overloaded())
FEW: Final = ("first serves", "second serves after a 429", "both fail", "a retry serves")
"""Ways to go where there is many another thing to be varied."""


def midway(limit: Answer) -> dict[str, Path]:
    """Return the ways that only streams go.

    Args:
        limit: The first one's refusal.
    """
    broken = Answer.stream(["Hel", "lo"], then="error")
    return {
        "fails midway": Path((broken,)),
        "is cut off": Path((Answer.stream(["Hel", "lo"], then="cut"),)),
        "second fails midway": Path((limit,), (broken,)),
    }


MIDWAY: Final = midway(Answer.openai_rate_limit())
GEMINI_MIDWAY: Final = midway(Answer.gemini_quota())


def shown(said: Any) -> Any:
    """Return what a host sees, an exception by its class: its words hold ports and request ids."""
    return type(said) if isinstance(said, BaseException) else said


def check_attempts(beside: Beside, asked: Sequence[object]) -> None:
    """Check that each candidate that was asked has one attempt in each run, with evidence of its own.

    Whatever neighbours make current.

    Args:
        beside: What was exported.
        asked: What each candidate's provider answered.
    """
    tried = [span for span in beside.spans if span.scope == "otel_failover" and span.name.startswith("candidate ")]
    assert beside.runs, "nothing was told of the loop"
    assert len(tried) == sum(map(bool, asked)) * len(beside.runs)
    assert all(span["failover.wire.requests"] for span in tried)
