"""What a loop may do with a carried error, dishonestly and honestly, and what the verdict must be.

Everything here follows from what was planned: who said what, and what of it is left in what the loop says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.truth.ways.texts import expected
from tests.truth.ways.units import WHOLE, Binding, binding, script_of, units

if TYPE_CHECKING:
    from tests.truth.ways.texts import Carried, TextWay, Told

THEFTS: Final = ("theft-timeout", "theft-reset", "theft-answered", "theft-success")
"""The error of another, told for a candidate that got no answer, another error, or a good answer."""
HONEST: Final = ("own", "both", "report", "reason")
"""The candidate's own error; one that both had; a report of both; and what the other said as the reason to go on."""
SCENARIOS: Final = (*THEFTS, *HONEST)


@dataclass(frozen=True)
class Found:
    """What came out.

    Args:
        verdict: As on the span.
        rule: That fired.
        source: The provider whose error it is.
    """

    verdict: str | None
    rule: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        return f"{self.verdict} ({self.rule or '-'}{', ' + self.source if self.source else ''})"


def is_told_so(way: TextWay, told: Told) -> bool:
    """Whether an error can be carried in this way: what was never answered has no code, no status and no body."""
    renders_an_answer = way.id.removeprefix("rendered-") in (
        "body-json", "body-ascii", "body-repr", "openai-sdk", "google-sdk", "botocore", "botocore-retried",
        "pydantic-ai", "litellm", "litellm-body", "mistral-sdk", "status-colon", "class-colon", "exception-line",
    ) or "openai-sdk" in way.id or way.id == "cut-in-code"  # fmt: skip
    if told.status is None and renders_an_answer:
        return False
    return told.code is not None or way.id not in (
        "cut-in-code", "rendered-google-sdk", "rendered-botocore", "rendered-botocore-retried"
    )  # fmt: skip


def is_word(text: str) -> bool:
    """Whether what a loop says may be its own word for a reason, which is no claim of anything."""
    spaceless = sum(map(bool, map(script_of, text)))
    return len(text) <= 48 and text.count(" ") < 3 and spaceless <= 6 and "%" not in text


def report_of(carried: Carried, first: Told, own: Told, number: int) -> str:
    """Return what a loop says that sums up both."""
    if number % 3 == 0:
        return f"{carried.text}; {own.shown}"
    if number % 3 == 1:
        return f"All models failed (2): {first.provider}: {carried.text} | {own.provider}: {own.shown}"
    return f"{own.shown}\n{carried.text}"


def reason_of(carried: Carried, first: Told, own: Told, *, timeout: bool) -> str:
    """Return what a loop says of a candidate that was asked because of what another said, and got no answer."""
    what = "timed out after 0.2 s" if timeout else "failed with a connection error"
    return f"{own.provider} {what} (fallback from {first.provider} because of: {carried.text})"


def problem_with(
    scenario: str, way: TextWay, told: Told, carried: Carried, own_texts: tuple[str, ...], found: Found
) -> str | None:
    """Return what is wrong with a verdict; None where it is right, or a matter of taste.

    Args:
        scenario: One of `SCENARIOS`.
        way: In which it is carried.
        told: Whose error is carried.
        carried: What was said.
        own_texts: All that the judged candidate sent or received.
        found: What came out.
    """
    if scenario in THEFTS:
        # Of a few words that are left the own answer may hold each: "This request", "Error code: 429".
        may_be_own = scenario == "theft-answered" and units(carried.kept) < WHOLE
        if found.verdict == "verified" and (is_word(carried.text) or may_be_own):
            found = Found("unverified")
        return _problem_with_theft(scenario, expected(told, carried, own_texts), told, found)
    if found.verdict in ("mismatch", "inconsistent"):
        return f"{found} for an honest claim"
    if scenario == "own" and way.whole and found.verdict != "verified":
        exact = carried.text in (told.message, told.shown)
        if exact or binding(told.message) is Binding.MUST:
            return f"{found}, not verified, though it is the own error"
    return None


def _problem_with_theft(scenario: str, must: Binding, told: Told, found: Found) -> str | None:
    unanswered = scenario in ("theft-timeout", "theft-reset")
    if must is Binding.MUST:
        if found.verdict != "mismatch":
            return f"missed: {found}"
        right = found.rule in ("stale_error", "foreign_error") and found.source == told.provider
        return None if right else f"flagged, but not as {told.provider}'s: {found}"
    if found.verdict == "verified":
        return f"{found}, though the own answer says nothing of it"
    if must is Binding.CANNOT and found.verdict == "mismatch" and not (unanswered and found.rule == "claimed_answer"):
        return f"{found}, though nothing in it shows whose it is"
    return None
