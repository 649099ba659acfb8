"""The sentence about an end: a function of its facts, and over all of them it says nothing that they contradict."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

import pytest

from otel_failover._core.domain import outcome as ends
from otel_failover._core.domain import reasons
from otel_failover._core.domain.outcome import Outcome, Seen, own_error, own_evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTCOMES: Final = (ends.SUCCESS, ends.ERROR, ends.REJECTED, ends.PARTIAL, ends.CANCELLED)
ORIGINS: Final = (None, ends.FROM_RESPONSE, ends.FROM_TRANSPORT, ends.FROM_CLIENT, ends.FROM_CANCEL)
STATUSES: Final = (None, 200, 429, 503)
TIMEOUTS: Final = (None, "connect", "read", "write", "pool", "total", "caller")
KILLERS: Final = (None, "stale", "deadline", "caller_timeout", "user", "breaker")
RAISED: Final = ("KeyError", "'sk-proj-secret'")
SECONDS, WAITED = 123.0, 45.0

SEEN: Final = [
    Seen(SECONDS, WAITED if sent else 0.0, sent, status, earlier, output, elsewhere, sure)
    for sent in (0, 1, 3)
    for status in (STATUSES if sent else (None,))
    for earlier in (((), (429,), (429, 503)) if sent > 1 else ((),))
    for output in (False, True)
    for elsewhere in (False, True)
    for sure in ((True,) if sent else (False, True))
]


def ended() -> Iterator[Outcome]:
    """Every end that the facts allow to be written down, sensible or not."""
    for outcome, reason, origin, status in itertools.product(OUTCOMES, (None, *reasons.REASONS), ORIGINS, STATUSES):
        yield Outcome(outcome, reason, origin, status, exception=RAISED)
    waits = itertools.product((reasons.TIMEOUT, reasons.CANCELLED), TIMEOUTS, KILLERS, (None, 200))
    for reason, timeout, killed, status in waits:
        for outcome in (ends.ERROR, ends.PARTIAL):
            yield Outcome(outcome, reason, ends.FROM_TRANSPORT, status, timeout=timeout, killed_by=killed)


ENDS: Final = list(ended())


def is_possible(settled: Outcome, seen: Seen) -> bool:
    """Whether the two can be of one attempt: the terminal status is that of the last request, if there was any."""
    return settled.status is None or (seen.sent > 0 and settled.status == seen.status)


CASES: Final = [(settled, seen) for settled in ENDS for seen in SEEN if is_possible(settled, seen)]


def contradictions(sentence: str, settled: Outcome, seen: Seen) -> Iterator[str]:
    """Yield what a sentence says that its facts deny."""
    heard = seen.status is not None or bool(seen.earlier) or seen.output or settled.status is not None
    if "no response" in sentence and heard:
        yield "there was one"
    if re.search(r"nothing was (asked|sent)", sentence):
        if seen.sent:
            yield "a request went out"
        if not seen.sure:
            yield "one may have gone out unseen"
        if "sent" in sentence and seen.elsewhere and "sent to it" not in sentence:
            yield "something was sent, though not to it"
    if "no request to it" in sentence and seen.sent:
        yield "a request to it was seen"
    if re.search(r"answered|began", sentence) and not heard:
        yield "nothing was heard"
    if settled.reason == reasons.TIMEOUT and "failed" in sentence and settled.origin != ends.FROM_RESPONSE:
        yield "nobody failed: it was waited for"
    numbers = {int(each) for each in re.findall(r"(?<![\d.])([1-5]\d\d)(?![\d.])", sentence)}
    if numbers - {seen.status, settled.status, *seen.earlier}:
        yield "a status that nobody answered"
    if "None" in sentence or "  " in sentence or sentence != sentence.strip() or not sentence:
        yield "no sentence"
    if "sk-proj" in sentence:
        yield "the text of an exception"


def test_there_are_many() -> None:
    """Facts and what was seen, each in every combination; what no attempt can be is left out."""
    assert len(SEEN) > 30
    assert len(CASES) > 20_000
    assert {settled.reason for settled, _ in CASES} >= set(reasons.REASONS)


def test_no_error_contradicts_its_facts() -> None:
    wrong = {}
    for settled, seen in CASES:
        sentence = own_error(settled, seen, "acme")
        found = [*contradictions(sentence, settled, seen)]
        found += ["whose it is"] if "acme" not in sentence else []
        found += ["seconds of something else"] if {*re.findall(r"[\d.]+ s\b", sentence)} - {"123.0 s"} else []
        if found:
            wrong[sentence] = (found, settled, seen)
    assert not wrong


def test_no_evidence_contradicts_its_facts() -> None:
    wrong = {}
    for settled, seen in CASES:
        sentence = own_evidence(settled, seen)
        found = [*contradictions(sentence, settled, seen)]
        found += ["seconds"] if {*re.findall(r"[\d.]+ s\b", sentence)} - {"123.0 s", "45.0 s"} else []
        found += ["an error that is none"] if settled.reason is None and "error" in sentence else []
        found += ["why"] if settled.reason and seen.sent and settled.reason not in sentence else []
        if found:
            wrong[sentence] = (found, settled, seen)
    assert not wrong


TIMED_OUT: Final = Outcome(ends.ERROR, reasons.TIMEOUT, ends.FROM_TRANSPORT, timeout="read")
RESET: Final = Outcome(ends.ERROR, reasons.CONNECTION, ends.FROM_TRANSPORT)
LOCAL: Final = Outcome(ends.ERROR, reasons.CLIENT_ERROR, ends.FROM_CLIENT, exception=("KeyError", "'x'"))
STALLED: Final = TIMED_OUT._replace(status=200)
ASKED: Final = Seen(SECONDS, WAITED, 1)

SENTENCES: Final = {
    "no answer": (TIMED_OUT, ASKED, "no response from acme within 123.0 s", "no response in 45.0 s (timeout)"),
    "nothing was seen": (
        TIMED_OUT, Seen(SECONDS, sure=False), "no response from acme within 123.0 s", "no request to it was seen",
    ),
    "a body that never came": (
        STALLED, ASKED._replace(status=200), "acme answered 200 and then went silent; given up after 123.0 s",
        "200, then timeout after 123.0 s",
    ),
    "a stream that fell silent": (
        STALLED._replace(outcome=ends.PARTIAL), ASKED._replace(status=200, output=True),
        "acme answered 200 and then went silent; given up after 123.0 s", "200, then timeout after 123.0 s",
    ),
    "a stream that its caller gave up": (
        TIMED_OUT._replace(outcome=ends.PARTIAL, timeout="caller", killed_by="caller_timeout"),
        ASKED._replace(status=200, output=True),
        "acme answered 200 and then went silent; given up after 123.0 s", "200, then timeout after 123.0 s",
    ),
    "chunks, and no request that was seen": (
        TIMED_OUT._replace(outcome=ends.PARTIAL), Seen(SECONDS, output=True),
        "acme began to answer and then went silent; given up after 123.0 s", "an answer to no request that was seen",
    ),
    "a retry that was not answered": (
        TIMED_OUT, Seen(SECONDS, WAITED, 2, earlier=(429,)),
        "acme answered 429 and then went silent; given up after 123.0 s", "429, then timeout after 123.0 s",
    ),
    "refused": (RESET, ASKED, "connection to acme failed", "no response in 45.0 s (connection)"),
    "cut": (
        Outcome(ends.PARTIAL, reasons.PARTIAL_STREAM, ends.FROM_TRANSPORT, 200), ASKED._replace(status=200, output=True),
        "acme answered 200, then the connection failed", "200, then partial_stream after 123.0 s",
    ),
    "nothing sent": (
        LOCAL, Seen(SECONDS), "nothing was asked of acme: this process failed (KeyError)", "nothing was sent",
    ),
    "a token refresh": (
        LOCAL, Seen(SECONDS, elsewhere=True), "nothing was asked of acme: this process failed (KeyError)",
        "nothing was sent to it",
    ),
    "perhaps sent": (
        LOCAL, Seen(SECONDS, sure=False), "acme: this process failed (KeyError)", "no request to it was seen",
    ),
    "a request that could not be sent": (
        LOCAL, ASKED, "acme: this process failed (KeyError)", "no response in 45.0 s (client_error)",
    ),
    "an answer that could not be read": (
        LOCAL._replace(status=200), ASKED._replace(status=200), "acme answered 200, then this process failed (KeyError)",
        "200, then client_error after 123.0 s",
    ),
    "an answer": (
        Outcome(ends.ERROR, reasons.BILLING, ends.FROM_RESPONSE, 429, "insufficient_quota"), ASKED._replace(status=429),
        "429 billing from acme", "429 insufficient_quota billing",
    ),
    "an answer that was not taken": (
        Outcome(ends.REJECTED, reasons.RESPONSE_REJECTED, ends.FROM_RESPONSE, 200), ASKED._replace(status=200),
        "200 response_rejected from acme", "200 response_rejected",
    ),
    "cancelled": (
        Outcome(ends.CANCELLED, reasons.CANCELLED, ends.FROM_CANCEL), ASKED, "cancelled: acme",
        "no response in 45.0 s (cancelled)",
    ),
    "still asked": (Outcome(), ASKED, "unknown: acme", "no response yet, in 45.0 s"),
    "served": (Outcome(status=200), ASKED._replace(status=200), "unknown: acme", "200"),
}  # fmt: skip


@pytest.mark.parametrize("name", SENTENCES)
def test_what_it_says(name: str) -> None:
    settled, seen, error, evidence = SENTENCES[name]
    assert own_error(settled, seen, "acme") == error
    assert own_evidence(settled, seen) == evidence
