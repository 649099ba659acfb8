"""What the rules share: whose an attempt is, how long it took, and how a sentence about it reads."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.candidate import shown
from otel_failover._core.domain.reasons import (
    CONTENT_POLICY,
    CONTEXT_OVERFLOW,
    INVALID_REQUEST,
    is_known,
)
from otel_failover._core.findings.record import AttemptRecord, Finding, Record, Skipped
from otel_failover._core.text.redaction import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Key = int | tuple[str, str, str | None]
Fact = str | int | float | list[str] | None

SERVED: Final = frozenset({"primary", "fallback"})
"""Outcomes of a run that somebody served."""

UNKNOWN_SERVER: Final = frozenset({"unseen", "unasked"})
"""Outcomes of a run that may have been served by what nobody saw."""

NOT_FAILED: Final = SERVED | UNKNOWN_SERVER

OF_THE_REQUEST: Final = frozenset({INVALID_REQUEST, CONTEXT_OVERFLOW, CONTENT_POLICY})
"""Reasons of a refusal that the request itself is to blame for: whoever is asked next may well refuse it too."""

FAILED: Final = frozenset({"error", "partial", "rejected"})
"""Outcomes of an attempt that the candidate is to blame for, or the loop's judgement of its answer."""

_TOO_LARGE: Final = 413
LONGEST: Final = 255
_NAME: Final = 64
_MOST_NAMED: Final = 8
_MOST_LISTED: Final = 32
_SPAN_ID: Final = re.compile("[0-9a-f]{16}")


# --- which attempts are of one candidate ------------------------------------------------------------------------------


def key_of(of: AttemptRecord | Skipped) -> Key:
    """Return what tells candidates apart: the place in the chain; outside it provider, model and profile."""
    return of.index if of.index >= 0 else (of.provider, of.model, of.profile)


def is_real(record: Record, tried: AttemptRecord) -> bool:
    """Whether the loop tried a candidate.

    A probe is none, nor is a call that nobody declared beside a chain that somebody did: that is no try of this loop
    but something else that the application asks (a moderation, an embedding); unless it served.
    """
    if tried.probe:
        return False
    return tried.declared or tried.index >= 0 or not record.chain or is_stray_server(record, tried)


def is_stray_server(record: Record, tried: AttemptRecord) -> bool:
    """Whether an attempt is the bare call outside the chain that served."""
    return 0 <= record.stray < len(record.tried) and record.tried[record.stray] is tried


def by_candidate(record: Record, wanted: Callable[[AttemptRecord], bool]) -> list[list[int]]:
    """Return the positions of the wanted attempts in lists, one for each candidate, in order of first appearance."""
    found: dict[Key, list[int]] = {}
    for position, tried in enumerate(record.tried):
        if wanted(tried):
            found.setdefault(key_of(tried), []).append(position)
    return list(found.values())


def refused_itself(tried: AttemptRecord) -> bool:
    """Whether a candidate refused the request itself, by its own answer and with a code or words that we know.

    A bare 400 or 413 is no such refusal: proxies and misconfigured clients get it for requests that others serve.
    """
    if tried.outcome == "success" or tried.origin != "response" or tried.reason not in OF_THE_REQUEST:
        return False
    # The two that say more than that it was refused come of a code, of known words, or of a 413 alone.
    return (tried.code is not None and is_known(tried.code)) or (
        tried.reason != INVALID_REQUEST and tried.status != _TOO_LARGE
    )


def answered(tried: AttemptRecord) -> bool:
    """Whether an attempt succeeded at what the request asked for."""
    return tried.outcome == "success" and not tried.probe


def seconds_of(record: Record, tried: AttemptRecord) -> float:
    """Return how long an attempt took; one that is still open, until the run ended."""
    ended = max(tried.ended, record.seconds) if tried.outcome == "open" else tried.ended
    return max(0.0, ended - tried.began)


# --- words ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def one_line(text: str, limit: int = _NAME) -> str:
    """Return a host's or provider's word as a sentence may carry it: redacted, short, on one line."""
    printable = "".join(each if each.isprintable() else " " for each in shown(text))
    return cut(" ".join(printable.split()), limit)


def label(provider: str, model: str) -> str:
    """Return `provider/model`, or what there is of it."""
    return one_line("/".join(filter(None, (provider, model)))) or "an unnamed candidate"


def name_of(record: Record, position: int) -> str:
    """Return the name of the candidate that an attempt was at."""
    return label(record.tried[position].provider, record.tried[position].model)


def listed(names: Sequence[str], room: int = 120) -> str:
    """Return as many names as there is room for, at least one, and the number of the others."""
    kept = min(len(names), _MOST_NAMED)
    while kept > 1 and len(_joined(names, kept)) > room:
        kept -= 1
    return _joined(names, kept)


def _joined(names: Sequence[str], kept: int) -> str:
    rest = len(names) - kept
    return ", ".join([*names[:kept], f"…(+{rest})"] if rest else names)


def counted(number: int, thing: str) -> str:
    """Return a number of things: `1 request`, `3 requests`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def duration(seconds: float) -> str:
    """Return seconds as a sentence has them."""
    return f"{seconds:.1f} s"


def because(tried: AttemptRecord) -> str:
    """Return an attempt's reason and status in brackets, with a space before; empty where neither is known."""
    facts = [each for each in (tried.reason and one_line(tried.reason), tried.status) if each]
    return f" ({' '.join(map(str, facts))})" if facts else ""


# --- findings ---------------------------------------------------------------------------------------------------------


def about_attempts(
    rule: str, record: Record, sentence: str, about: Sequence[int], *, level: str = "warning", **facts: Fact
) -> Finding:
    """Return a finding about some attempts.

    Args:
        rule: Its name.
        record: The run.
        sentence: For a person.
        about: The attempts' positions. The finding carries the places of their candidates where there is a chain, and
            the ids of their spans where there are any.
        level: `warning` or `info`.
        **facts: Its evidence; None values are left out.
    """
    indexes = {record.tried[position].index for position in about}
    places = tuple(sorted(index for index in indexes if index >= 0)) if record.chain else tuple(about)
    spans = [span for span in (record.tried[position].span_id for position in about) if span]
    return about_places(rule, places, sentence, {**facts, "span_ids": spans or None}, level)


def about_places(
    rule: str, places: tuple[int, ...], sentence: str, facts: Mapping[str, Fact], level: str = "warning"
) -> Finding:
    """Return a finding about places of the chain, with texts cut and redacted.

    Args:
        rule: Its name.
        places: Of the candidates.
        sentence: For a person.
        facts: Its evidence; None values are left out.
        level: `warning` or `info`.
    """
    kept = {name: _exported(value) for name, value in facts.items() if value is not None}
    return Finding(rule, cut(sentence, LONGEST), level, places, kept)


def _exported(value: str | float | list[str]) -> str | int | float | list[str]:
    if isinstance(value, list):
        # Span ids are ours, and new in every run: redacting them finds nothing, and would push others out of the cache.
        return [each if _SPAN_ID.fullmatch(each) else one_line(each, LONGEST) for each in value[:_MOST_LISTED]]
    return one_line(value, LONGEST) if isinstance(value, str) else value
