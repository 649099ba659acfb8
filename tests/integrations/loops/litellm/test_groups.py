"""Model groups of litellm's routers: retries, deployments, cooldowns and every kind of fallback, in each way to ask."""

from __future__ import annotations

import json
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("litellm")

import otel_failover
from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.integrations.loops.litellm.bench import (
    HAS_CHECKS,
    NATIVE,
    WAYS,
    Bench,
    clear_clients,
    litellm,
    outcome,
    run,
    ways,
)
from tests.support.hosts import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Exported, Telemetry

every_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def bench() -> Iterator[Bench]:
    clear_clients()
    with ExitStack() as stack:
        yield Bench(stack)


def served(way: str) -> Answer:
    """Return an answer that says `fine`, streamed where it is asked for so."""
    return Answer.stream(["fi", "ne"]) if "stream" in way else Answer.ok("fine")


def text(said: Any) -> Any:
    """Return what was answered; an exception as it is."""
    return said if isinstance(said, Exception) else "".join(said)


def told(telemetry: Telemetry) -> list[tuple[Any, ...]]:
    """Return who was asked or passed over, in order: provider, model, place, number, what became of it, why."""
    assert not telemetry.markers
    assert {span.verdict[0] for span in telemetry.candidates} <= {"verified"}
    assert {span.parent_id for span in telemetry.candidates} <= {telemetry.run.span_id}
    found = sorted([*telemetry.candidates, *telemetry.starting("skip ")], key=lambda span: span.start)
    return [_line(span) for span in found]


def _line(span: Exported) -> tuple[Any, ...]:
    keys = ("candidate.provider", "candidate.model", "candidate.index", "candidate.attempt", "candidate.outcome")
    return *(span[key] for key in keys), span["failover.reason.code"] or span["failover.skip.reason"]


# --- retries, deployments, cooldowns ----------------------------------------------------------------------------------


@every_way
def test_retries_are_attempts_of_one_candidate(telemetry: Telemetry, bench: Bench, way: str) -> None:
    bench.chain(Answer.openai_server_error(), served(way))
    assert text(ways(bench.router(num_retries=2, retry_after=0))[way]()) == "fine"
    assert told(telemetry) == [
        ("openai", "model-a", 0, 1, "error", "server_error"),
        ("openai", "model-a", 0, 2, "error", "server_error"),
        ("openai", "model-a", 0, 3, "error", "server_error"),
        ("anthropic", "model-b", 1, 1, "success", None),
    ]
    assert [span["failover.wire.requests"] for span in telemetry.candidates] == [1, 1, 1, 1]
    assert telemetry.run["failover.attempt.count"] == 4
    assert bench.asked == [[500, 500, 500], [200]]


@every_way
def test_a_retry_that_succeeds(telemetry: Telemetry, bench: Bench, way: str) -> None:
    bench.chain([Answer.openai_server_error(), served(way)], Answer.ok("never"))
    assert text(ways(bench.router(num_retries=2, retry_after=0))[way]()) == "fine"
    assert [line[2:5] for line in told(telemetry)] == [(0, 1, "error"), (0, 2, "success")]
    assert telemetry.run["failover.outcome"] == "primary"


@every_way
def test_retries_of_the_sdk_are_requests_of_one_attempt(telemetry: Telemetry, bench: Bench, way: str) -> None:
    bench.add("a", "openai", Answer.openai_server_error(), model="model-a", max_retries=1)
    bench.add("b", "anthropic", served(way), model="model-b")
    assert text(ways(bench.router())[way]()) == "fine"
    first, _ = telemetry.candidates
    asked = bench.asked[0]
    assert (first["candidate.attempt"], first["failover.wire.requests"]) == (1, len(asked))
    assert len(telemetry.candidates) == 2


@every_way
def test_deployments_of_a_group_are_candidates_of_their_own(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """Which of them is asked is the router's choice, so no chain is declared; their labels tell them apart."""
    bench.add("a", "openai", Answer.openai_rate_limit(), model="same")
    bench.add("a", "openai", Answer.openai_rate_limit(), model="same")
    bench.add("b", "anthropic", served(way), model="model-b", id="eu-west")
    router = bench.router(num_retries=3, retry_after=0, cooldown_time=60, allowed_fails=0)
    assert text(ways(router)[way]()) == "fine"
    *pool, last = telemetry.candidates
    assert {span["candidate.profile"] for span in pool} <= {"a #0", "a #1"}
    assert last["candidate.profile"] == "eu-west"
    assert telemetry.run["failover.chain"] is None
    assert telemetry.run["failover.outcome"] == "fallback"
    assert sum(map(len, bench.asked)) == len(told(telemetry))


@every_way
def test_a_group_that_cools_down_is_skipped(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """The router's error for it bears a status 429 that nobody sent."""
    bench.add("a", "openai", Answer.openai_rate_limit(), model="one")
    bench.add("a", "openai", Answer.openai_rate_limit(), model="other")
    bench.add("b", "anthropic", served(way), model="model-b")
    router = bench.router(num_retries=3, retry_after=0, cooldown_time=60, allowed_fails=0)
    cool_down(router, bench)
    telemetry.clear()
    assert text(ways(router)[way]()) == "fine"
    assert bench.asked == [[], [], [200]]
    skipped, last = telemetry.starting("skip "), telemetry.candidates
    assert [span["failover.skip.reason"] for span in skipped] == ["cooldown", "cooldown"]
    assert [span["candidate.model"] for span in skipped] == ["one", "other"]
    assert [(span["candidate.model"], span["candidate.outcome"]) for span in last] == [("model-b", "success")]
    assert telemetry.run["failover.outcome"] == "fallback"
    assert max(span.end for span in skipped) <= last[0].start


def cool_down(router: Any, bench: Bench) -> None:
    """Ask until both of the group's deployments cool down: each call may meet only one of them."""
    for _ in range(8):
        before = [len(each) for each in bench.asked[:2]]
        ways(router)["async"]()
        if [len(each) for each in bench.asked[:2]] == before:
            break
    for server in bench.servers:
        server.clear()


def test_nobody_is_left_when_everything_cools_down(telemetry: Telemetry, bench: Bench) -> None:
    """The run has failed without a request; the error that leaves it is no provider's."""
    bench.add("a", "openai", Answer.openai_rate_limit(), model="one")
    bench.add("a", "openai", Answer.openai_rate_limit(), model="other")
    router = bench.router(num_retries=3, retry_after=0, cooldown_time=60, allowed_fails=0)
    cool_down(router, bench)
    telemetry.clear()
    assert isinstance(ways(router)["async"](), Exception)
    assert [line[4:] for line in told(telemetry)] == [("skipped", "cooldown")] * 2
    assert (telemetry.run.status, telemetry.run["failover.outcome"]) == ("ERROR", "exhausted")
    assert bench.asked == [[], []]


# --- which fallbacks --------------------------------------------------------------------------------------------------


@every_way
def test_a_hop_from_a_group_that_has_fallbacks_of_its_own(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """Nested hops stand side by side: one run, three candidates, each once."""
    bench.chain(Answer.openai_quota(), Answer.anthropic_not_found("model-b"), served(way))
    router = bench.router(fallbacks=[{"a": ["b"]}, {"b": ["c"]}])
    assert text(ways(router)[way]()) == "fine"
    assert telemetry.run["failover.chain"] == ["openai/model-a", "anthropic/model-b", "openai/model-c"]
    assert told(telemetry) == [
        ("openai", "model-a", 0, 1, "error", "billing"),
        ("anthropic", "model-b", 1, 1, "error", "model_not_found"),
        ("openai", "model-c", 2, 1, "success", None),
    ]


@every_way
def test_a_group_that_is_not_there_is_skipped(telemetry: Telemetry, bench: Bench, way: str) -> None:
    bench.chain(Answer.openai_quota(), served(way))
    router = bench.router(fallbacks=[{"a": ["nobody", "b"]}])
    assert text(ways(router)[way]()) == "fine"
    assert [(line[0], line[1], line[4]) for line in told(telemetry)] == [
        ("openai", "model-a", "error"),
        ("", "nobody", "skipped"),
        ("anthropic", "model-b", "success"),
    ]


@every_way
def test_a_context_window_fallback(telemetry: Telemetry, bench: Bench, way: str) -> None:
    bench.chain(Answer.openai_context_overflow(), served(way), Answer.ok("never"))
    router = bench.router(fallbacks=[{"a": ["c"]}], context_window_fallbacks=[{"a": ["b"]}])
    assert text(ways(router)[way]()) == "fine"
    assert told(telemetry) == [
        ("openai", "model-a", 0, 1, "error", "context_overflow"),
        ("anthropic", "model-b", 1, 1, "success", None),
    ]
    assert telemetry.run["failover.chain"] is None


@every_way
def test_a_content_policy_fallback(telemetry: Telemetry, bench: Bench, way: str) -> None:
    # In words that every litellm takes for a refusal: the newest no longer looks at the code.
    said = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
    refused = Answer.error(400, said, code="content_policy_violation")
    bench.chain(refused, served(way))
    router = bench.router(fallbacks=[], content_policy_fallbacks=[{"a": ["b"]}])
    assert text(ways(router)[way]()) == "fine"
    assert told(telemetry) == [
        ("openai", "model-a", 0, 1, "error", "content_policy"),
        ("anthropic", "model-b", 1, 1, "success", None),
    ]


@pytest.mark.parametrize("way", ["sync", "async", "sync in a loop"])
def test_an_answer_that_the_router_refuses(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """A filtered answer came with 200: `rejected`, and no error of the provider's."""
    choice = {"index": 0, "finish_reason": "content_filter", "message": {"role": "assistant", "content": ""}}
    filtered = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "model-a", "choices": [choice]}
    bench.chain(Answer.raw(200, json.dumps(filtered)), Answer.ok("fine"))
    router = bench.router(fallbacks=[], content_policy_fallbacks=[{"a": ["b"]}])
    assert text(ways(router)[way]()) == "fine"
    first, _ = telemetry.candidates
    assert [line[4] for line in told(telemetry)] == ["rejected", "success"]
    assert (first.status, first["error.type"], first["http.response.status_code"]) == ("UNSET", None, 200)
    assert bench.asked == [[200], [200]]


@every_way
def test_a_request_without_fallbacks_stops_at_its_first(telemetry: Telemetry, bench: Bench, way: str) -> None:
    bench.chain(Answer.openai_quota(), Answer.ok("never"))
    assert isinstance(ways(bench.router(), disable_fallbacks=True)[way](), litellm.RateLimitError)
    assert telemetry.run["failover.chain"] == ["openai/model-a"]
    assert [line[2:5] for line in told(telemetry)] == [(0, 1, "error")]
    assert (telemetry.run["failover.outcome"], telemetry.run["failover.untried"]) == ("exhausted", None)
    assert bench.asked == [[429], []]


@every_way
def test_an_error_that_no_fallback_is_for(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """Only a request that is too long would go on: nobody was bypassed, since no chain is known beforehand."""
    bench.chain(Answer.openai_quota(), Answer.ok("never"))
    router = bench.router(fallbacks=[], context_window_fallbacks=[{"a": ["b"]}])
    assert isinstance(ways(router)[way](), litellm.RateLimitError)
    assert [line[4:] for line in told(telemetry)] == [("error", "billing")]
    assert (telemetry.run["failover.outcome"], telemetry.run["failover.findings"]) == ("exhausted", None)


# --- who is asked by other rules ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not NATIVE, reason="older routers went by the order only where they picked")
@every_way
def test_deployments_of_a_group_by_their_order(telemetry: Telemetry, bench: Bench, way: str) -> None:
    bench.add("a", "openai", Answer.openai_quota(), model="model-a", order=1)
    bench.add("a", "anthropic", served(way), model="model-b", order=2)
    assert text(ways(bench.router(fallbacks=[]))[way]()) == "fine"
    assert told(telemetry) == [
        ("openai", "model-a", 0, 1, "error", "billing"),
        ("anthropic", "model-b", 1, 1, "success", None),
    ]
    assert (telemetry.run["failover.outcome"], telemetry.run["failover.findings"]) == ("fallback", None)


@pytest.mark.skipif(not HAS_CHECKS, reason="older routers ask nobody whether a group may be asked")
@pytest.mark.parametrize("way", ["async", "async stream"])
def test_a_group_that_may_not_be_asked_is_passed_over(telemetry: Telemetry, bench: Bench, way: str) -> None:
    asked: list[str] = []

    async def allows(*, model: str, **_: Any) -> bool:
        asked.append(model)
        return model != "b"

    bench.chain(Answer.openai_quota(), Answer.ok("never"), served(way))
    assert text(ways(bench.router(fallback_access_check=allows))[way]()) == "fine"
    assert asked == ["b", "c"]
    lines = told(telemetry)
    assert [line[1:3] + line[4:5] for line in lines if line[4] != "skipped"] == [
        ("model-a", 0, "error"),
        ("model-c", 2, "success"),
    ]
    if NATIVE:
        (skipped,) = telemetry.starting("skip ")
        assert (skipped["candidate.model"], skipped["candidate.index"]) == ("model-b", 1)
    assert "chain_bypassed" not in (telemetry.run["failover.findings"] or ())
    assert bench.asked == [[429], [], [200]]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_shorter_models_name_in_one_call(telemetry: Telemetry, bench: Bench, asynchronous: bool) -> None:
    """`context_window_fallback_dict` asks once more below what is patched: both calls are seen, and where they went."""
    at = bench.serve("openai", Answer.openai_context_overflow(), Answer.ok("fine"))
    asked = {
        "model": "openai/model-a", "messages": list(MESSAGES), "api_base": at.base_url, "api_key": "k", "max_retries": 0,
        "context_window_fallback_dict": {"model-a": "openai/model-b", "openai/model-a": "openai/model-b"},
    }  # fmt: skip
    with failover_run("chat"):
        said = (
            run(lambda: litellm.acompletion(**asked)) if asynchronous else outcome(lambda: litellm.completion(**asked))
        )
    assert said == "fine"
    assert [line[1:] for line in told(telemetry)] == [
        ("model-a", 0, 1, "error", "context_overflow"),
        ("model-b", 1, 1, "success", None),
    ]
    assert telemetry.run["failover.outcome"] == "fallback"


@every_way
def test_two_that_say_the_same_are_each_ones_own(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """litellm's errors carry a response that it made up: an error is bound by what it says, and the own text wins."""
    same = "This model is out of order for everybody until tomorrow morning"
    for group in "ab":
        bench.add(group, "openai", Answer.error(500, same), model=f"model-{group}")
    bench.add("c", "openai", served(way), model="model-c")
    assert text(ways(bench.router())[way]()) == "fine"
    assert [line[1:5] for line in told(telemetry)] == [
        ("model-a", 0, 1, "error"),
        ("model-b", 1, 1, "error"),
        ("model-c", 2, 1, "success"),
    ]
    assert [span["failover.evidence"] for span in telemetry.candidates] == ["complete"] * 3


# --- the host ---------------------------------------------------------------------------------------------------------


@every_way
def test_asking_a_router_who_stands_in_it_warns_nobody(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """litellm 1.109 tells who reads its router's old attributes by a warning, and will take them away.

    Of unclosed sockets of an earlier test Python warns wherever garbage happens to be collected, maybe in a line of ours.
    """
    bench.chain(Answer.openai_quota(), served(way))
    router = bench.router(context_window_fallbacks=[{"a": ["b"]}])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert text(ways(router)[way]()) == "fine"
    package = str(Path(otel_failover.__file__).parent)
    told_by_litellm = [each for each in caught if issubclass(each.category, DeprecationWarning)]
    assert not [each for each in told_by_litellm if each.filename.startswith(package)]
