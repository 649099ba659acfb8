"""What can happen to a loop, case by case: who answers what, and what would be right.

Each is an incident that loops in use have had, as far as a caller can bring it about.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from otel_failover.testing.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_failover.testing.answers import StreamEnding

__all__ = ["CASES", "Case", "Place"]

Expected = Literal["served", "raised", "cancelled"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer is given.

    Args:
        name: Of the candidate.
        token: A word that stands in each error of this candidate, in this call, and nowhere else.
        api_key: The candidate's.
    """

    name: str
    token: str
    api_key: str

    @property
    def answer(self) -> str:
        """What it says where it is well."""
        return f"Hello from the {self.name}"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that can happen.

    Args:
        name: In a word.
        situation: What the candidates do.
        plans: What each of them answers.
        right: What a loop does that is right.
        expected: How it ends then.
        served_by: Whose answer is taken then; 0-based.
        is_refused: The first refuses for good: to ask it again is in vain.
        is_silent: The first keeps the loop waiting.
        needs: `stream`: can happen to a loop that streams only; `async`: to a call that can be cancelled.
        calls: How many calls are made; `together`, or one after another.
        tells_all: The error can tell what each candidate said.
        is_first: Whatever a loop does once, as importing its libraries, it does here: it is given more time.
    """

    name: str
    situation: str
    plans: tuple[Callable[[Place], Answer] | None, ...]
    right: str
    expected: Expected = "served"
    served_by: int = 1
    is_refused: bool = False
    is_silent: bool = False
    needs: Literal["", "stream", "async"] = ""
    calls: int = 1
    together: bool = field(default=False, kw_only=True)
    tells_all: bool = field(default=True, kw_only=True)
    is_first: bool = field(default=False, kw_only=True)


# --- what candidates do -----------------------------------------------------------------------------------------------


def _well(place: Place) -> Answer:
    return Answer.ok(place.answer)


def _hangs(_: Place) -> Answer:
    return Answer.hang()


def _resets(_: Place) -> Answer:
    return Answer.reset()


def _says(status: int, words: str, *, code: str | None = None, kind: str | None = None) -> Callable[[Place], Answer]:
    def answer(place: Place) -> Answer:
        return Answer.error(status, f"{words} (account {place.token})", code=code, type=kind)

    return answer


def _sends(status: int, body: str, content_type: str = "text/html") -> Callable[[Place], Answer]:
    def answer(place: Place) -> Answer:
        return Answer.raw(status, body.replace("TOKEN", place.token), content_type=content_type)

    return answer


def _breaks(then: StreamEnding) -> Callable[[Place], Answer]:
    def answer(place: Place) -> Answer:
        pieces = [f"Half an answer of the {place.name}, ", "and then"]
        return Answer.stream(pieces, then=then, message=f"The server had an error (account {place.token})")

    return answer


def _echoes(place: Place) -> Answer:
    return Answer.error(401, f"Invalid token in header 'Bearer {place.api_key}' (account {place.token})")


_quota: Final = _says(429, "You exceeded your current quota", code="insufficient_quota", kind="insufficient_quota")
_limited: Final = _says(429, "Rate limit reached, try again later", code="rate_limit_exceeded")
_broken: Final = _says(500, "The server had an error while processing your request")
_no_key: Final = _says(401, "Incorrect API key provided", code="invalid_api_key")
_unknown: Final = _says(404, "The model does not exist", code="model_not_found")
_too_long: Final = _says(400, "The prompt is longer than the model's context", code="context_length_exceeded")
_in_a_200: Final = _sends(
    200, '{"error": {"message": "Upstream failed (account TOKEN)", "code": 502}}', "application/json"
)
_ON: Final = "go on: the second was well and would have answered"
_TOLD: Final = "raise, and tell what each candidate said under its own name"

_BREAKS: Final[tuple[tuple[str, str, StreamEnding], ...]] = (
    ("stream_error", "says that there was an error", "error"),
    ("stream_cut", "is cut off", "cut"),
    ("stream_truncated", "ends without saying so", "truncate"),
    ("stream_hangs", "falls silent", "hang"),
)

CASES: Final[tuple[Case, ...]] = (
    Case(
        "healthy",
        "The first answers.",
        (_well, _well, _well),
        "take its answer and ask nobody else",
        served_by=0,
        is_first=True,
    ),
    # --- the first fails, the second is well --------------------------------------------------------------------------
    Case("rate_limited", "The first answers 429: too many requests.", (_limited, _well, _well), _ON),
    Case("out_of_quota", "The first answers 429: the quota is used up.", (_quota, _well, _well), _ON),
    Case(
        "out_of_money",
        "The first answers 400: the credit balance is too low.",
        (_says(400, "Your credit balance is too low to access the API"), _well, _well),
        _ON,
        is_refused=True,
    ),
    Case("bad_key", "The first answers 401: it does not know the key.", (_no_key, _well, _well), _ON, is_refused=True),
    Case(
        "unknown_model", "The first answers 404: it has no such model.", (_unknown, _well, _well), _ON, is_refused=True
    ),
    Case("server_error", "The first answers 500.", (_broken, _well, _well), _ON),
    Case("overloaded", "The first answers 503: overloaded.", (_says(503, "Overloaded"), _well, _well), _ON),
    Case("odd_status", "The first answers 418, which no list has.", (_says(418, "I am a teapot"), _well, _well), _ON),
    Case(
        "gateway_page",
        "In front of the first, a gateway answers 502 with a page of HTML.",
        (_sends(502, "<html><h1>Bad gateway</h1>TOKEN</html>"), _well, _well),
        _ON,
    ),
    Case("bare_400", "The first answers 400 without a word.", (_sends(400, "", "text/plain"), _well, _well), _ON),
    Case("error_in_200", "The first answers 200, and an error in it.", (_in_a_200, _well, _well), _ON),
    Case(
        "page_in_200",
        "The first answers 200 with a page of HTML.",
        (_sends(200, "<html><h1>Sign in</h1></html>"), _well, _well),
        _ON,
    ),
    Case("empty_answer", "The first answers 200 with an empty text.", (lambda _: Answer.ok(""), _well, _well), _ON),
    Case("down", "Nobody listens at the first's address.", (None, _well, _well), _ON),
    Case("reset", "The first resets the connection.", (_resets, _well, _well), _ON),
    Case("hangs", "The first never answers.", (_hangs, _well, _well), _ON, is_silent=True),
    Case(
        "two_fail",
        "The first answers 429, the second 500, the third is well.",
        (_limited, _broken, _well),
        "go on to the third, which would have answered",
        served_by=2,
    ),
    # --- streams ------------------------------------------------------------------------------------------------------
    *(
        Case(
            name,
            f"The first's stream {what} in the middle of its answer.",
            (_breaks(then), _well, _well),
            "take the second's whole answer, or raise; half an answer is none",
            needs="stream",
            is_silent=then == "hang",
        )
        for name, what, then in _BREAKS
    ),
    # --- none is well -------------------------------------------------------------------------------------------------
    Case(
        "all_fail",
        "The first answers 429, the second 500, the third 404.",
        (_quota, _broken, _unknown),
        _TOLD,
        "raised",
    ),
    Case(
        "stale_error",
        "The first answers 429: the quota is used up. The second never answers.",
        (_quota, _hangs),
        "raise, and say of the second that no answer came: what the first said is the first's",
        "raised",
        is_silent=True,
        tells_all=False,
    ),
    Case(
        "refused_by_all",
        "Each answers 400: the prompt is too long.",
        (_too_long, _too_long, _too_long),
        "raise: the request itself was refused; to ask the others, too, is no mistake",
        "raised",
        tells_all=False,
    ),
    Case("all_down", "Nobody listens anywhere.", (None, None), "raise", "raised", tells_all=False),
    Case(
        "one_after_another",
        "Two calls, one after another; in each, both candidates fail in words of that call.",
        (_quota, _broken),
        "raise, and tell in the second call's error nothing of what was said in the first call",
        "raised",
        calls=2,
        tells_all=False,
    ),
    Case(
        "two_at_once",
        "Two calls at the same time; in each, both candidates fail in words of that call.",
        (_quota, _broken),
        "raise, and tell in each call's error nothing of what was said in the other",
        "raised",
        calls=2,
        together=True,
        tells_all=False,
    ),
    # --- what else it may get wrong -----------------------------------------------------------------------------------
    Case(
        "key_in_error",
        "A gateway answers 401 and repeats the key it was sent; so does the second.",
        (_echoes, _echoes),
        "raise, with the key taken out of what is told",
        "raised",
        is_refused=True,
        tells_all=False,
    ),
    Case(
        "cancelled",
        "The first never answers; while the loop waits, its caller cancels the call.",
        (_hangs, _well),
        "stop, and ask nobody else",
        "cancelled",
        needs="async",
    ),
)
"""Every case, in the order in which they are tried."""
