"""A router as it comes in somebody else's package: it knows nothing of telemetry, and is not there to be edited.

It is wrong in one line. What went wrong is kept in a session that all vendors of a request share; the first error
stays, and is reported of everybody. Errors are values here: nothing is raised that could be caught from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a vendor gave no answer.

    Args:
        reason: The router's own word.
        status_code: As the vendor answered; None where it did not.
        message: The sentence for the dashboard.
    """

    reason: str
    status_code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What one vendor gave.

    Args:
        text: Its words.
        error: Why there are none.
    """

    text: str = ""
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class Vendor:
    """One entry of the chain.

    Args:
        name: Whose it is.
        model: What is asked.
        ask: Asks it through its SDK.
    """

    name: str
    model: str
    ask: Callable[[], str]


class Router:
    """Asks one vendor after the other.

    Args:
        vendors: In order.

    Attributes:
        replies: What it made of each vendor of the latest request.
    """

    def __init__(self, vendors: Sequence[Vendor]) -> None:
        self.vendors = vendors
        self.replies: list[Reply] = []

    def route(self) -> str | None:
        """Return the first answer, None where nobody gives one."""
        session: dict[str, Exception] = {}
        self.replies = []
        for vendor in self.vendors:
            self.replies.append(reply := self.ask(vendor, session))
            if reply.error is None:
                return reply.text
        return None

    def ask(self, vendor: Vendor, session: dict[str, Exception]) -> Reply:
        """Ask one vendor."""
        try:
            return Reply(vendor.ask())
        except Exception as problem:
            return Reply(error=_failure(session.setdefault("error", problem)))


def _failure(problem: Exception) -> Failure:
    status = getattr(problem, "status_code", None)
    body = getattr(problem, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    reason = "quota" if status == 429 else "timeout" if status is None else "error"
    return Failure(reason, status, message or str(problem))
