"""Errors inside a 200, and what gateways relay: own to whoever answered so, another's when it is told for another."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError
from tests.truth.ways.not_yet import compared
from tests.truth.ways.scenarios import Found
from tests.truth.ways.scene import OTHER, Scene, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hosts import Stand

SAID: Final = "acme/model-x is rate-limited upstream until the monthly window of this workspace is renewed"
INNER: Final = {"error": {"message": SAID, "type": "insufficient_quota", "code": "insufficient_quota"}}


@dataclass(frozen=True)
class Shape:
    """An answer with somebody's sentence in it.

    Args:
        id: Of the row.
        status: Of the answer.
        body: Its JSON.
        told: What a loop tells of it.
    """

    id: str
    status: int
    body: dict[str, Any]
    told: str = SAID

    @property
    def answer(self) -> Answer:
        """What a local provider is programmed with."""
        return Answer.raw(self.status, json.dumps(self.body), content_type="application/json")


def _relayed(raw: Any, message: str = "Provider returned error") -> dict[str, Any]:
    return {"error": {"message": message, "code": 429, "metadata": {"raw": raw, "provider_name": "BaseTen"}}}


SHAPES: Final = [
    # Errors inside a 200.
    Shape("200-error-object", 200, {"error": {"message": SAID, "code": 429}, "user_id": "user_1"}),
    Shape("200-error-text", 200, {"error": SAID}),
    Shape("200-error-and-no-choices", 200, {"id": "gen-1", "object": "chat.completion", "choices": [], "error": {"message": SAID, "code": "rate_limit_exceeded"}}),
    Shape("200-type-error", 200, {"type": "error", "error": {"type": "overloaded_error", "message": SAID}}),
    Shape("200-choice-error", 200, {"id": "gen-1", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": ""}, "error": {"message": SAID, "code": 502}}]}),
    Shape("200-base-resp", 200, {"base_resp": {"status_code": 1008, "status_msg": SAID}}),
    Shape("200-error-code", 200, {"error_code": 17, "error_msg": SAID}),
    Shape("200-relayed", 200, _relayed(SAID)),
    # What a gateway relays of its upstream.
    Shape("raw-text", 429, _relayed(SAID)),
    Shape("raw-body", 429, _relayed(json.dumps(INNER))),
    Shape("raw-object", 429, _relayed(INNER)),
    Shape("raw-body-of-anthropic", 429, _relayed(json.dumps({"type": "error", "error": {"type": "rate_limit_error", "message": SAID}}))),
    Shape("escaped-body", 429, {"error": {"message": json.dumps(INNER), "code": 429}}),
    Shape("escaped-body-behind-words", 502, {"error": {"message": f"upstream error: {json.dumps(INNER)}", "code": "502"}}),
    Shape("litellm-proxy", 429, {"error": {"message": f"litellm.RateLimitError: RateLimitError: OpenAIException - {SAID}", "type": "throttling_error", "code": "429"}}, f"litellm.RateLimitError: RateLimitError: OpenAIException - {SAID}"),
    Shape("flat", 429, {"object": "error", "message": SAID, "type": "rate_limited", "code": "1300"}),
    Shape("detail", 401, {"detail": SAID}),
    Shape("errors", 429, {"errors": [{"code": "token_quota_reached", "message": SAID}], "trace": "t1"}),
]  # fmt: skip
PREVIOUS: Final = {
    "error": {
        "message": "No provider could serve this request",
        "code": 502,
        "previous_errors": [{"code": 429, "message": SAID}],
    }
}  # noqa: E501


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with opened() as made:
        yield made


def ask(each: Stand, answer: Answer) -> Exception | None:
    """Ask a candidate that answers so; what it says, the loop finds in the answer itself."""
    each.server.program(answer)
    try:
        each.ask()
    except Exception as problem:  # noqa: BLE001 - the loop goes on
        return problem
    return None


def played(scene: Scene, said: str, first: Answer, second: Answer, *, by_exception: bool) -> list[Found]:
    """Ask two candidates; tell the sentence for both of them."""
    scene.clear()
    stands = [scene.first["openai"], scene.second["openai"]]
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each, answer in zip(stands, (first, second), strict=True):
            try:
                with run.attempt(each.candidate) as attempt:
                    own = ask(each, answer)
                    if by_exception and own is not None:
                        raise LoopError(said) from None
                    attempt.fail({"message": said})
            except LoopError:
                continue
    spans = scene.starting("candidate ")
    return [Found(*span.verdict, span["failover.attribution.source.provider"]) for span in spans]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda each: each.id)
def test_an_answer(scene: Scene, shape: Shape) -> None:
    problems: dict[str, str | None] = {}
    for name, second in (("reset", Answer.reset()), ("other", OTHER), ("success", Answer.ok())):
        own, theft = played(scene, shape.told, shape.answer, second, by_exception=name == "other")
        problems[f"{shape.id}/own-{name}"] = None if own.verdict == "verified" else f"{own} for the own words"
        right = (theft.verdict, theft.rule, theft.source) == ("mismatch", "stale_error", "openai")
        problems[f"{shape.id}/theft-{name}"] = None if right else f"missed: {theft}"
    both = played(scene, shape.told, shape.answer, shape.answer, by_exception=False)[1]
    problems[f"{shape.id}/both"] = None if both.verdict == "verified" else f"{both} for what both said"
    previous = Answer.raw(502, json.dumps(PREVIOUS), content_type="application/json")
    told = played(scene, shape.told, shape.answer, previous, by_exception=True)[1]
    problems[f"{shape.id}/previous"] = f"{told} for what it relays" if told.verdict == "mismatch" else None
    if shape.told != SAID:
        del problems[f"{shape.id}/previous"]  # what is told has more words in it than were relayed
    assert not (wrong := compared("answer", problems)), "\n".join(wrong)
