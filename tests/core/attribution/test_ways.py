"""Each way of carrying a text, with each message, held against the pure rules: thefts, and their honest twins.

The same tables are played with real SDKs in `tests/truth/ways`, a part of them each time.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from otel_failover._core.attribution.facts import Bonds, OwnFacts, SourceFacts
from otel_failover._core.attribution.from_exception import from_error
from otel_failover._core.attribution.rules import judge
from otel_failover._core.text.matching import normalise
from tests.support.hosts import LoopError
from tests.truth.ways.messages import MESSAGES
from tests.truth.ways.not_yet import compared
from tests.truth.ways.scenarios import SCENARIOS, Found, is_told_so, problem_with, reason_of, report_of
from tests.truth.ways.texts import BROAD, TEXT_WAYS, Told

if TYPE_CHECKING:
    from tests.truth.ways.messages import Message
    from tests.truth.ways.texts import TextWay

REASONS: Final = {400: "invalid_request", 401: "auth", 402: "billing", 403: "permission", 404: "model_not_found",
                  429: "rate_limit", 500: "server_error", 503: "overloaded", 529: "overloaded"}  # fmt: skip
EVERY: Final = os.environ.get("FAILOVER_WAYS") == "all"
"""Each way with each message; else with every sixth one, and with a short one that only its code tells."""
HANDMADE: Final = "Our scheduler could not place this request on any replica"


class RateLimitError(Exception):
    """An SDK's exception, as its `repr` shows it."""


def told(provider: str, message: Message, number: int) -> Told:
    """Return a provider's error as an SDK's exception has it."""
    body: dict[str, Any] = {"error": {"message": message.text, "type": message.code, "param": None, **message.more}}
    body["error"]["code"] = message.code
    request_id = f"req_{number:020x}"
    if message.wire == "anthropic":
        body = {"type": "error", "error": {"type": message.code, "message": message.text}, "request_id": request_id}
    shown = f"Error code: {message.status} - {body if message.wire == 'anthropic' else body['error']}"
    kind = message.code if message.code in BROAD else None
    return Told(
        provider,
        f"{provider}-model",
        f"https://{provider}.example/v1/chat/completions",
        shown,
        message.text,
        message.status,
        message.code,
        kind,
        body,
        request_id,
        RateLimitError(shown),
    )


def source_of(error: Told, order: int = 1) -> SourceFacts:
    """Return what another attempt's wire said."""
    return SourceFacts(
        error.provider,
        0,
        f"{order:016x}",
        order,
        messages=(normalise(error.message),),
        codes=frozenset(filter(None, [error.code])),
        statuses=frozenset(filter(None, [error.status])),
        request_ids=frozenset(filter(None, [error.request_id])),
    )


def own_of(error: Told) -> OwnFacts:
    """Return the evidence of an attempt that was answered with an error."""
    texts = (error.message, json.dumps(error.body, ensure_ascii=False), error.shown)
    return OwnFacts(
        sent=1,
        answered=1,
        statuses=frozenset(filter(None, [error.status])),
        codes=frozenset(filter(None, [error.code])),
        request_ids=frozenset(filter(None, [error.request_id])),
        texts=tuple(map(normalise, texts)),
        reasons=frozenset([REASONS[error.status or 500]]),
        raised=(error.shown,),
        names=(error.provider, error.model),
    )


def unanswered(text: str, reason: str) -> tuple[Told, OwnFacts]:
    """Return the error of a candidate that gave no answer, and its evidence."""
    error = Told("openrouter", "some-model", "", text, text, problem=RateLimitError(text))
    return error, OwnFacts(
        sent=1,
        texts=(normalise(text),),
        reasons=frozenset([reason]),
        raised=(text,),
        names=(error.provider, error.model),
    )


OTHER: Final = told("openrouter", MESSAGES[0].__class__("other", "openai", 500, "no_replica", HANDMADE), 7)


def evidence(scenario: str, message: Message) -> tuple[Told | None, OwnFacts]:
    """Return the judged candidate's own error, and its evidence."""
    if scenario in ("theft-timeout", "theft-reset", "reason"):
        timeout = scenario == "theft-timeout"
        return unanswered(
            "Request timed out." if timeout else "Connection error.", "timeout" if timeout else "connection"
        )
    if scenario == "theft-success":
        return None, OwnFacts(sent=1, answered=1, statuses=frozenset([200]), reasons=frozenset(["response_rejected"]))
    mine = told("openrouter", message, 2) if scenario in ("own", "both") else OTHER
    return mine, own_of(mine)


def problem(way: TextWay, message: Message, scenario: str, number: int) -> str | None:
    """Return what is wrong with a verdict."""
    theirs = OTHER if scenario == "own" else told("openai" if message.wire == "openai" else "anthropic", message, 1)
    if scenario == "own":
        theirs = Told("openai", "m", "", OTHER.shown, OTHER.message, OTHER.status, OTHER.code, None, OTHER.body)
    mine, own = evidence(scenario, message)
    carried_one = mine if scenario in ("own", "both") and mine is not None else theirs
    if not is_told_so(way, carried_one):
        return None
    carried = way.carry(carried_one)
    text = carried.text
    if scenario == "report" and mine is not None:
        text = report_of(carried, theirs, mine, number)
    if scenario == "reason" and mine is not None:
        text = reason_of(carried, theirs, mine, timeout=False)
    claim = from_error(text if mine is None else LoopError(text))
    verdict = judge(claim, Bonds(), own, [source_of(theirs)])
    found = Found(verdict.verdict, verdict.rule, verdict.source.provider if verdict.source else None)
    own_texts = (mine.shown, str(mine.body)) if mine is not None else ("Hello",)
    wrong = problem_with(scenario, way, carried_one, carried, own_texts, found)
    return f"{message.id}: {wrong}; it said {text[:300]!r}" if wrong else None


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_text_in_every_way(scenario: str) -> None:
    problems: dict[str, str | None] = {}
    for turn, way in enumerate(TEXT_WAYS):
        chosen = [n for n in range(len(MESSAGES)) if EVERY or (n + turn) % 6 == 0 or MESSAGES[n].id == "bad-key"]
        found = [problem(way, MESSAGES[n], scenario, n) for n in chosen]
        wrong = [each for each in found if each]
        problems[f"{scenario}/{way.id}"] = f"{len(wrong)} of {len(found)}: {wrong[0]}" if wrong else None
    assert not (unlike := compared("pure", problems)), "\n".join(unlike)
