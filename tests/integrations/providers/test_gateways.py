"""What a gateway relays of its upstream's error: own at the gateway, and another's wherever else it is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, stand

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.spans import Telemetry

UPSTREAM = "acme/model-x is temporarily rate-limited upstream. Please retry shortly, or add your own key"
QUOTA = {"error": {"message": "You exceeded your current quota, please check your plan and billing details.", "type":
                   "insufficient_quota", "code": "insufficient_quota"}}  # fmt: skip
EARLIER = "The first upstream has no capacity for acme/model-x at the moment"


def _of_openrouter(raw: object, **more: Any) -> dict[str, Any]:
    metadata = {"raw": raw, "provider_name": "BaseTen", **more}
    return {"error": {"message": "Provider returned error", "code": 429, "metadata": metadata}}


GATEWAYS: dict[str, tuple[dict[str, Any], str]] = {
    "a text": (_of_openrouter(UPSTREAM), UPSTREAM),
    "a body": (_of_openrouter(json.dumps(QUOTA)), QUOTA["error"]["message"]),
    "an earlier one": (
        _of_openrouter(UPSTREAM, previous_errors=[{"code": 503, "message": EARLIER, "provider_name": "Other"}]), EARLIER,
    ),
    "escaped": (
        {"error": {"message": "litellm.RateLimitError: OpenAIException - " + json.dumps(QUOTA), "type": None,
                   "param": None, "code": "429"}},
        QUOTA["error"]["message"],
    ),
}  # fmt: skip
TOLD: dict[str, Callable[[openai.APIStatusError, str], object]] = {
    "as a sentence": lambda _, said: said,
    "as an exception": lambda _, said: LoopError(said),
    "as older SDKs write it": lambda problem, _: LoopError(f"Error code: 429 - {problem.body}"),
    "as the body": lambda problem, _: problem.body,
}
every_gateway = pytest.mark.parametrize("gateway", GATEWAYS)
every_telling = pytest.mark.parametrize("telling", TOLD)


def refusal(body: dict[str, Any]) -> Answer:
    return Answer.raw(429, json.dumps(body), content_type="application/json")


@every_gateway
@every_telling
def test_its_upstreams_words_are_its_own(telemetry: Telemetry, gateway: str, telling: str) -> None:
    body, said = GATEWAYS[gateway]
    with stand("openrouter", refusal(body)) as each, failover_run(chain=[each.candidate]) as run:
        with run.attempt(each.candidate) as attempt:
            with pytest.raises(openai.RateLimitError) as caught:
                each.ask()
            attempt.fail(TOLD[telling](caught.value, said))
    (own,) = telemetry.candidates
    reason = "billing" if gateway == "escaped" else "rate_limit"  # the gateway's own sentence speaks of the quota
    assert (own["candidate.outcome"], own["failover.reason.code"]) == ("error", reason)
    assert own.verdict == ("verified", None)


@every_gateway
@every_telling
def test_told_for_another_they_are_a_mismatch(telemetry: Telemetry, gateway: str, telling: str) -> None:
    body, said = GATEWAYS[gateway]
    with stand("openrouter", refusal(body)) as first, stand("anthropic", Answer.hang(1), timeout=0.2) as second:
        with failover_run(chain=[first.candidate, second.candidate]) as run:
            with pytest.raises(openai.RateLimitError) as caught, run.attempt(first.candidate):
                first.ask()
            with run.attempt(second.candidate) as attempt:
                with pytest.raises(Exception, match="timed out"):
                    second.ask()
                attempt.fail(TOLD[telling](caught.value, said))
    stolen = telemetry.candidates[1]
    assert (stolen["failover.reason.code"], *stolen.verdict) == ("timeout", "mismatch", "stale_error")
    assert stolen["failover.attribution.source.provider"] == "openrouter"


def test_its_sentence_and_its_upstreams_are_shown(telemetry: Telemetry) -> None:
    with stand("openrouter", refusal(_of_openrouter(UPSTREAM))) as each, failover_run(chain=[each.candidate]) as run:
        with pytest.raises(openai.RateLimitError), run.attempt(each.candidate) as attempt:
            each.ask()
        assert attempt.error is not None
        assert attempt.error.message == f"Provider returned error: {UPSTREAM}"
    assert telemetry.candidates[0].description == f"Provider returned error: {UPSTREAM}"


def test_two_who_relay_the_same_words_both_own_them(telemetry: Telemetry) -> None:
    """The upstream is asked directly as well: nothing shows that either copied from the other."""
    direct = Answer.error(429, UPSTREAM, code="rate_limit_exceeded")
    with stand("openrouter", refusal(_of_openrouter(UPSTREAM))) as first, stand("openai", direct) as second:
        with failover_run(chain=[first.candidate, second.candidate]) as run:
            for each in (first, second):
                with run.attempt(each.candidate) as attempt:
                    with pytest.raises(openai.RateLimitError):
                        each.ask()
                    attempt.fail(UPSTREAM)
    assert [span.verdict for span in telemetry.candidates] == [("verified", None)] * 2
    assert "identical_errors" not in (telemetry.run["failover.findings"] or [])


def test_the_upstreams_name_binds_and_names_nobody(telemetry: Telemetry) -> None:
    """A gateway says that OpenAI refused; the chain has an OpenAI of its own, which was not asked."""
    body = _of_openrouter(UPSTREAM, provider_name="OpenAI")
    with stand("openrouter", refusal(body)) as first, stand("openai", Answer.ok()) as second:
        with failover_run(chain=[first.candidate, second.candidate]) as run:
            with pytest.raises(openai.RateLimitError), run.attempt(first.candidate):
                first.ask()
            with run.attempt(second.candidate):
                second.ask()
    own = telemetry.candidates[0]
    assert (own["candidate.provider"], *own.verdict) == ("openrouter", "verified", None)
    assert [each.name for each in telemetry.markers] == []


def test_of_an_earlier_run_too(telemetry: Telemetry) -> None:
    with stand("openrouter", refusal(_of_openrouter(UPSTREAM))) as first, failover_run(chain=[first.candidate]) as run:
        with pytest.raises(openai.RateLimitError), run.attempt(first.candidate):
            first.ask()
    with stand("anthropic", Answer.hang(1), timeout=0.2) as second, failover_run(chain=[second.candidate]) as run:
        with run.attempt(second.candidate) as attempt:
            with pytest.raises(Exception, match="timed out"):
                second.ask()
            attempt.fail(UPSTREAM)
    stolen = telemetry.candidates[1]
    assert (stolen["failover.reason.code"], *stolen.verdict) == ("timeout", "mismatch", "stale_error")
