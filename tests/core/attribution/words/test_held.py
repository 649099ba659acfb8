"""What libraries make of an own error is own; the same with another candidate's words in it is not."""

from __future__ import annotations

from typing import Final, NamedTuple

import pytest

from otel_failover._core.attribution.claim import Claim
from otel_failover._core.attribution.facts import UNBOUND, OwnFacts, SourceFacts
from otel_failover._core.attribution.rules import judge
from otel_failover._core.text.matching import normalise


def own(*texts: str, status: int | None = None, reason: str, **more: object) -> OwnFacts:
    """Return own evidence as `own_facts` collects it."""
    return OwnFacts(
        sent=1,
        answered=int(status is not None),
        statuses=frozenset(filter(None, [status])),
        texts=tuple(filter(None, map(normalise, texts))),
        reasons=frozenset({reason}),
        names=("anthropic", "claude-none"),
        **more,  # type: ignore[arg-type]
    )


class Kind(NamedTuple):
    """One kind of own error, what libraries make of it, and the same with another candidate's words.

    Args:
        own: The evidence.
        said: The library's text, with `{}` where another's words stand in the twin.
        instead: What stands there in the honest text.
        status: That the library claims.
    """

    own: OwnFacts
    said: str
    instead: str
    status: int | None = None


TIMED_OUT: Final = own("Request timed out.", "no response from anthropic within 2.0 s", reason="timeout")
SILENT: Final = own("no response from anthropic within 2.0 s", reason="timeout")
LOST: Final = own("[Errno 104] Connection reset by peer", "connection to anthropic failed", reason="connection")
BARE: Final = own("Error code: 503", "503 overloaded from anthropic", status=503, reason="overloaded")
NOTHING: Final = own(status=500, reason="server_error")
SHORT: Final = own("Overloaded", "Error code: 529 - Overloaded", status=529, reason="overloaded")
PAGE: Final = own(
    status=200, reason="response_rejected", answers=lambda: (normalise("<html><body>please log in</body></html>"),)
)

KINDS: Final = {
    "litellm, no answer": Kind(TIMED_OUT, "litellm.Timeout: APITimeoutError - {}", "Request timed out.", 408),
    "litellm, its own clock": Kind(
        SILENT, "litellm.Timeout: AnthropicException - {} Timeout passed=0.3, time taken=0.302 seconds",
        "litellm.Timeout: Connection timed out.", 408,
    ),
    "litellm, a reset": Kind(
        LOST, "litellm.InternalServerError: AnthropicException - {}. Handle with `litellm.InternalServerError`.",
        "[Errno 104] Connection reset by peer", 500,
    ),
    "litellm, no body": Kind(
        BARE, "litellm.ServiceUnavailableError: AnthropicException - {}. Handle with `litellm.ServiceUnavailableError`.",
        "b''", 503,
    ),
    "litellm, an empty body": Kind(NOTHING, "litellm.InternalServerError: AnthropicException - {}", "b'{}'", 500),
    "litellm, a stream": Kind(
        SHORT, "litellm.MidStreamFallbackError: litellm.InternalServerError: AnthropicError - {}", "Overloaded", 529
    ),
    "pydantic-ai, no body": Kind(BARE, "status_code: 503, model_name: claude-none, body: {}", "", 503),
    "pydantic-ai, a short body": Kind(
        SHORT, "status_code: 529, model_name: claude-none, body: {{'message': '{}'}}", "Overloaded", 529
    ),
    "httpx's span": Kind(own("timed out", reason="timeout"), "ReadTimeout: {}", "timed out"),
    "a class alone": Kind(SILENT, "ReadTimeout{}", ""),
    "the interpreter": Kind(
        own(status=200, reason="response_rejected"), "{}", "'str' object has no attribute 'choices'"
    ),
    "a page in a 200": Kind(
        PAGE, "Unable to get json response - {}", "Original Response: <html><body>please log in</body></html>"
    ),
    "botocore, a page": Kind(
        own("<h1>502</h1> nginx", status=502, reason="server_error"),
        "An error occurred (502) when calling the Converse operation (reached max retries: 0): {}", "Bad Gateway",
    ),
    "a loop's own words": Kind(TIMED_OUT, "claude failed: {}", "Request timed out."),
}  # fmt: skip

THEIRS: Final = {
    "short": ("Out of quota", SourceFacts("openai", messages=("Out of quota",), statuses=frozenset({402}))),
    "long": (
        "You exceeded your current quota, please check your plan and billing details.",
        SourceFacts(
            "openai",
            messages=("You exceeded your current quota, please check your plan and billing details.",),
            codes=frozenset({"insufficient_quota"}),
            statuses=frozenset({429}),
        ),
    ),
    "cut": ("Deployment is g…", SourceFacts("openai", messages=("Deployment is gone for good",))),
    "a code": ("insufficient_quota", SourceFacts("openai", messages=("x",), codes=frozenset({"insufficient_quota"}))),
}
"""What another candidate said, as it is told, and its facts."""


@pytest.mark.parametrize("name", KINDS)
def test_what_a_library_makes_of_an_own_error_is_verified(name: str) -> None:
    kind = KINDS[name]
    claim = Claim(texts=(kind.said.format(kind.instead),), status=kind.status)
    for _, facts in THEIRS.values():
        assert judge(claim, UNBOUND, kind.own, [facts]).verdict == "verified"


@pytest.mark.parametrize("theirs", THEIRS)
@pytest.mark.parametrize("name", KINDS)
def test_the_same_with_anothers_words_is_not(name: str, theirs: str) -> None:
    kind, (words, facts) = KINDS[name], THEIRS[theirs]
    for told in (words, f"{kind.instead} {words}", f"{words}: {kind.instead}"):
        claim = Claim(texts=(kind.said.format(told),), status=kind.status)
        found = judge(claim, UNBOUND, kind.own, [facts])
        assert found.verdict != "verified", claim
        if theirs == "long" and told == words:
            assert (found.verdict, found.rule) == ("mismatch", "stale_error")


@pytest.mark.parametrize(
    "text",
    [
        "The model is at capacity right now, come back later",
        "litellm.APIError: OpenAIException - This organisation has been disabled",
        "Request timed out. The organisation that owns this key has been disabled",
        "Request timed out (before: 429)",
        "Request timed out, billing",
    ],
)
def test_words_that_nobody_here_said_are_not(text: str) -> None:
    """Older than this process, or made up."""
    assert judge(Claim(texts=(text,)), UNBOUND, TIMED_OUT).verdict != "verified"


def test_a_class_says_nothing_while_nothing_is_known() -> None:
    """An attempt that is under way has neither an answer nor a failure."""
    nothing = OwnFacts(complete=False, sent=1)
    found = judge(Claim(texts=("ReadTimeout",)), UNBOUND, nothing)
    assert (found.verdict, found.rule) == ("unverified", "evidence_incomplete")


# --- what HTTP libraries say of a status ------------------------------------------------------------------------------

HERE: Final = ("https://api.deepseek.com/v1/chat/completions", ("api.deepseek.com", 443))
THERE: Final = ("https://api.openai.com/v1/chat/completions", ("api.openai.com", 443))
CHECK: Final = "\nFor more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/{status}"
RAISED_FOR_STATUS: Final = {
    "httpx": "Client error '{status} Too Many Requests' for url '{url}'" + CHECK,
    "httpx, 0.25": "Client error '{status} Too Many Requests' for url '{url}'"
    "\nFor more information check: https://httpstatuses.com/{status}",
    "requests": "{status} Client Error: Too Many Requests for url: {url}",
    "told by the loop": "deepseek failed: Client error '{status} Too Many Requests' for url '{url}'" + CHECK,
}


@pytest.mark.parametrize("said", RAISED_FOR_STATUS.values(), ids=RAISED_FOR_STATUS)
def test_what_is_raised_for_an_own_status_is_own(said: str) -> None:
    facts = OwnFacts(
        sent=1,
        answered=1,
        statuses=frozenset({429}),
        texts=(normalise("This candidate of all is limited"),),
        reasons=frozenset({"rate_limit"}),
        names=("deepseek", "deepseek-chat"),
        went_to=lambda address: address == HERE[1],
    )
    other = SourceFacts("openai", index=0, statuses=frozenset({429, 401}), addresses=frozenset({THERE[1]}))

    def verdict(status: int, url: str) -> tuple[str, str | None]:
        text = said.format(status=status, url=url)
        found = judge(Claim(texts=(text,), status=status), UNBOUND, facts, (other,))
        return found.verdict, found.rule

    assert verdict(429, HERE[0]) == ("verified", None)
    for status, url in ((429, THERE[0]), (401, HERE[0]), (401, THERE[0])):
        assert verdict(status, url)[0] != "verified", (status, url)
