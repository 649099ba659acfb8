"""What live runs get wrong, with real SDKs: each incident, and the honest run that looks like it."""

# ruff: noqa: PT012 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import ExitStack, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_failover import Candidate, FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import MESSAGES, LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Exported, Telemetry


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def events(run: Exported) -> dict[str, dict[str, Any]]:
    """Findings of a run by rule."""
    found = {name.removeprefix("failover.finding."): attributes for name, attributes in run.events}
    assert list(found) == (run["failover.findings"] or [])
    return found


def again(telemetry: Telemetry, **settings: Any) -> None:
    """Instrument once more with other settings."""
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, **settings)


def fall_back(stands: list[Stand], *, times: int = 1, until: int | None = None) -> None:
    """A loop that asks each candidate some times, and swallows what they raise."""
    with failover_run("chat", chain=[each.candidate for each in stands], name="route") as run:
        for each in stands[:until]:
            for _ in range(times):
                try:
                    with run.attempt(each.candidate):
                        each.ask()
                except Exception:  # noqa: BLE001, S112 - the loop goes on
                    continue
                return


# --- bypasses ---------------------------------------------------------------------------------------------------------


def test_an_unknown_primary_model_throws_out_of_the_loop(telemetry: Telemetry) -> None:
    """The loop resolves its models first: an unknown one raises before anybody is tried, and bypasses nobody."""
    chain = ["openai/gpt-unknown", "anthropic/claude-opus-4-7", "gcp.gemini/gemini-2.5-flash"]
    with pytest.raises(KeyError), failover_run("chat", chain=chain):
        raise KeyError("gpt-unknown")
    assert (telemetry.run["failover.outcome"], telemetry.run["failover.untried"]) == ("stopped", chain)
    told = events(telemetry.run)
    assert set(told) == {"local_failure"}
    assert told["local_failure"]["failover.finding.sentence"].startswith("KeyError left the run before any of 3 ")


def test_an_unknown_only_model_is_a_plain_error(telemetry: Telemetry) -> None:
    with pytest.raises(KeyError), failover_run("chat", chain=["openai/gpt-unknown"]):
        raise KeyError("gpt-unknown")
    assert "chain_bypassed" not in events(telemetry.run)


def test_an_error_that_nobody_recognises_ends_the_loop_after_two_of_seventeen(
    telemetry: Telemetry, stack: ExitStack
) -> None:
    weird = Answer.error(418, code="weird", message="the tea is not ready")
    stands = [
        stack.enter_context(stand("openai", Answer.openai_rate_limit())),
        stack.enter_context(stand("qwen-portal", weird)),
    ]
    rest = [Candidate("openai", f"gpt-{number}", f"http://127.0.0.1:{number}") for number in range(1, 16)]
    with (
        pytest.raises(Exception, match="418"),
        failover_run("chat", chain=[*(each.candidate for each in stands), *rest]) as run,
    ):
        with pytest.raises(Exception, match="429"), run.attempt(stands[0].candidate):
            stands[0].ask()
        with run.attempt(stands[1].candidate):
            stands[1].ask()
    told = events(telemetry.run)["chain_bypassed"]
    assert told["failover.finding.sentence"].startswith(
        "stopped after 2 of 17 candidates: 'weird' 418 from qwen-portal was recognised by nobody; untried: openai/gpt-1"
    )
    assert len(told["failover.finding.sentence"]) <= 255
    assert told["failover.finding.level"] == "warning"
    counted = telemetry.metric("failover.run.findings")
    assert counted[(("failover.finding.rule", "chain_bypassed"), ("failover.library", "manual"))] == 1


def test_a_user_who_cancels_bypasses_nobody(telemetry: Telemetry) -> None:
    with stand("openai", Answer.hang()) as first:

        async def main() -> None:
            with failover_run("chat", chain=[first.candidate, "anthropic/claude-opus-4-7"]) as run:
                with run.attempt(first.candidate):
                    await first.aask()

        async def cancelled() -> None:
            task = asyncio.create_task(main())
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancelled())
    assert telemetry.run["failover.outcome"] == "cancelled"
    assert events(telemetry.run) == {}


def test_the_last_candidates_error_rethrown_bypasses_nobody(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = [
        stack.enter_context(stand("openai", Answer.openai_rate_limit())),
        stack.enter_context(stand("anthropic", Answer.anthropic_overloaded())),
    ]
    with pytest.raises(Exception, match="529"), failover_run("chat", chain=[each.candidate for each in stands]) as run:
        with pytest.raises(Exception, match="429"), run.attempt(stands[0].candidate):
            stands[0].ask()
        with run.attempt(stands[1].candidate):
            stands[1].ask()
    assert set(events(telemetry.run)) == {"lossy_report"}
    assert events(telemetry.run)["lossy_report"]["failover.finding.level"] == "info"


def test_a_final_error_that_tells_of_each_candidate_loses_nothing(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = [
        stack.enter_context(stand("openai", Answer.openai_rate_limit())),
        stack.enter_context(stand("anthropic", Answer.anthropic_overloaded())),
    ]
    told: list[str] = []
    with pytest.raises(LoopError), failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            attempt = run.attempt(each.candidate)
            try:
                with attempt:
                    each.ask()
            except Exception:  # noqa: BLE001 - the loop goes on
                assert attempt.error is not None
                told.append(f"{attempt.error.provider}: {attempt.error.message}")
        raise LoopError("; ".join(told))
    assert events(telemetry.run) == {}


def test_a_loop_that_says_why_it_ends_stopped_on_purpose(telemetry: Telemetry) -> None:
    with stand("openai", Answer.openai_rate_limit()) as first:
        with failover_run("chat", chain=[first.candidate, "anthropic/claude-opus-4-7"]) as run:
            with pytest.raises(Exception, match="429"), run.attempt(first.candidate):
                first.ask()
            run.stop("deadline")
    assert set(events(telemetry.run)) == {"chain_stopped"}
    assert "deadline" in events(telemetry.run)["chain_stopped"]["failover.finding.sentence"]


# --- skips ------------------------------------------------------------------------------------------------------------


def test_all_candidates_skipped_is_exhausted_and_names_the_causes(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = Candidate("anthropic", "claude-opus-4-7")
    attempt = None
    with failover_run("chat", chain=[first.candidate, second]) as run:
        attempt = run.attempt(first.candidate)
        with pytest.raises(Exception, match="429"), attempt:
            first.ask()
        run.stop("test")
    cause = attempt.error
    telemetry.clear()
    with failover_run("chat", chain=[first.candidate, second]) as run:
        run.skip(first.candidate, "cooldown", cause)
        run.skip(second, "cooldown", cause)
    assert (telemetry.run["failover.outcome"], telemetry.run["failover.attempt.count"]) == ("exhausted", 0)
    skips = telemetry.starting("skip ")
    assert [each["failover.skip.cause_span_id"] for each in skips] == [cause.span_id, cause.span_id]  # type: ignore[union-attr]
    told = events(telemetry.run)
    assert set(told) == {"unjustified_skip"}
    assert told["unjustified_skip"]["failover.finding.sentence"] == (
        "anthropic/claude-opus-4-7 was skipped (cooldown) for the failure of another provider: openai/gpt-5.5 (billing)"
    )


@pytest.mark.parametrize("reason", ["not_allowed", "not_configured", "budget"])
def test_an_allowlist_skip_is_justified_by_itself(reason: str, telemetry: Telemetry) -> None:
    with stand("openai") as first:
        with failover_run("chat", chain=["anthropic/claude-opus-4-7", first.candidate]) as run:
            run.skip("anthropic/claude-opus-4-7", reason)
            with run.attempt(first.candidate):
                first.ask()
    assert events(telemetry.run) == {}


# --- what is carried on in vain ---------------------------------------------------------------------------------------


def overflow(provider: str) -> Answer:
    if provider == "anthropic":
        return Answer.error(400, code="invalid_request_error", message="prompt is too long: 300000 tokens > 200000")
    return Answer.openai_context_overflow()


def test_a_request_that_every_model_must_refuse_is_carried_on(telemetry: Telemetry, stack: ExitStack) -> None:
    fall_back([stack.enter_context(stand(provider, overflow(provider))) for provider in ("openai", "anthropic")])
    assert "futile_failover" in events(telemetry.run)


def test_one_refusal_and_a_success_is_what_fallbacks_are_for(telemetry: Telemetry, stack: ExitStack) -> None:
    fall_back([stack.enter_context(stand("openai", overflow("openai"))), stack.enter_context(stand("anthropic"))])
    assert events(telemetry.run) == {}


def test_a_doubled_prefix_in_the_models_name(telemetry: Telemetry, stack: ExitStack) -> None:
    wrong = stack.enter_context(
        stand("openai", Answer.openai_model_not_found("openai/gpt-5.5"), model="openai/gpt-5.5")
    )
    fall_back([wrong, stack.enter_context(stand("anthropic"))])
    assert set(events(telemetry.run)) == {"model_name_prefixed"}


def test_timeouts_repeated_while_a_healthy_fallback_waits(telemetry: Telemetry, stack: ExitStack) -> None:
    hung = stack.enter_context(stand("openai", *[Answer.hang()] * 3, timeout=0.1))
    fall_back([hung, stack.enter_context(stand("anthropic"))], times=3, until=1)
    told = events(telemetry.run)["timeout_not_failed_over"]
    assert told["failover.finding.fact.seconds"] >= 0.3
    assert "anthropic/claude-opus-4-7" in told["failover.finding.sentence"]


def test_one_retry_after_a_timeout_is_fine(telemetry: Telemetry, stack: ExitStack) -> None:
    hung = stack.enter_context(stand("openai", *[Answer.hang()] * 2, timeout=0.1))
    fall_back([hung, stack.enter_context(stand("anthropic"))], times=2)
    assert events(telemetry.run) == {}


def test_sdk_retries_under_loop_retries(
    telemetry: Telemetry, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm = stack.enter_context(stand("openai", *[Answer.openai_server_error()] * 9, retries=2))
    no_waiting(monkeypatch)
    fall_back([storm, stack.enter_context(stand("anthropic"))], times=3)
    told = events(telemetry.run)
    assert set(told) == {"retry_storm"}
    assert told["retry_storm"]["failover.finding.fact.requests"] == 9


def test_the_sdks_own_retries_are_no_storm(
    telemetry: Telemetry, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    retried = stack.enter_context(stand("openai", *[Answer.openai_server_error()] * 3, retries=2))
    no_waiting(monkeypatch)
    fall_back([retried, stack.enter_context(stand("anthropic"))])
    assert events(telemetry.run) == {}


def test_more_requests_than_allowed(telemetry: Telemetry, stack: ExitStack) -> None:
    again(telemetry, max_requests=2)
    tried = stack.enter_context(stand("openai", *[Answer.openai_rate_limit()] * 3))
    fall_back([tried, stack.enter_context(stand("anthropic"))], times=3)
    assert set(events(telemetry.run)) == {"retry_storm"}


def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDKs try again at once."""
    import openai

    monkeypatch.setattr(openai._base_client.BaseClient, "_calculate_retry_timeout", lambda *_, **__: 0.0)


# --- texts ------------------------------------------------------------------------------------------------------------


def test_two_providers_with_one_text_of_which_one_cannot_have_said_it(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.1))
    text = ""
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        try:
            with run.attempt(first.candidate):
                first.ask()
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            text = str(problem)
        with pytest.raises(LoopError), run.attempt(second.candidate):
            try:
                second.ask()
            except Exception:  # noqa: BLE001 - replaced, which is the incident
                raise LoopError(text) from None
    assert "identical_errors" in events(telemetry.run)


@pytest.mark.parametrize(
    "text",
    [
        "サーバーが混雑しています。しばらくしてから再試行してください。",
        "The service timed out. Please try again later.",
    ],
)
def test_what_a_loop_says_of_every_candidate_is_no_text_of_anybody(
    text: str, telemetry: Telemetry, stack: ExitStack
) -> None:
    tried = [stack.enter_context(stand(name, Answer.hang(), timeout=0.1)) for name in ("openai", "anthropic")]
    with failover_run("chat", chain=[each.candidate for each in tried]) as run:
        for each in tried:
            with pytest.raises(LoopError), run.attempt(each.candidate):
                try:
                    each.ask()
                except Exception:  # noqa: BLE001 - told in the loop's own words
                    raise LoopError(text) from None
    assert "identical_errors" not in events(telemetry.run)


def test_two_providers_that_both_say_overloaded(telemetry: Telemetry, stack: ExitStack) -> None:
    busy = Answer.error(529, code="overloaded_error", message="The service is overloaded, please try again in a while")
    fall_back([stack.enter_context(stand(provider, busy)) for provider in ("openai", "anthropic")])
    assert events(telemetry.run) == {}


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_answer_with_nothing_in_it(provider: str, telemetry: Telemetry) -> None:
    with stand(provider, Answer.ok("")) as only:
        fall_back([only])
    assert set(events(telemetry.run)) == {"empty_success"}


def test_an_answer_by_another_members_model(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.ok("hello", model="gpt-5.5-mini")))
    second = stack.enter_context(stand("openai", model="gpt-5.5-mini", profile="small"))
    fall_back([first, second])
    assert set(events(telemetry.run)) == {"wrong_model"}


def test_text_that_reads_like_an_error_is_looked_for_only_where_asked(telemetry: Telemetry) -> None:
    text = "You exceeded your current quota, please check your plan and billing details."
    with stand("openai", Answer.ok(text), Answer.ok(text)) as only:
        fall_back([only])
        assert events(telemetry.run) == {}
        telemetry.clear()
        again(telemetry, enabled_rules=["text_error"])
        fall_back([only])
    assert set(events(telemetry.run)) == {"text_error"}


# --- cancellations ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task says that it was cancelled from Python 3.11 on")
def test_a_loop_that_goes_on_after_its_user_cancelled(telemetry: Telemetry, stack: ExitStack) -> None:
    hung = stack.enter_context(stand("openai", Answer.hang()))
    healthy = stack.enter_context(stand("anthropic"))

    async def loop() -> None:
        with failover_run("chat", chain=[hung.candidate, healthy.candidate]) as run:
            for each in (hung, healthy):
                try:
                    with run.attempt(each.candidate):
                        await each.aask()
                except asyncio.CancelledError:
                    continue

    async def main() -> None:
        task = asyncio.create_task(loop())
        await asyncio.sleep(0.1)
        task.cancel()
        await task

    asyncio.run(main())
    assert telemetry.candidates[0]["failover.killed_by"] == "caller_timeout"
    assert set(events(telemetry.run)) == {"cancelled_continued"}


def test_a_callers_timeout_is_no_cancellation(telemetry: Telemetry, stack: ExitStack) -> None:
    hung = stack.enter_context(stand("openai", Answer.hang()))
    healthy = stack.enter_context(stand("anthropic"))

    async def main() -> None:
        with failover_run("chat", chain=[hung.candidate, healthy.candidate]) as run:

            async def one(each: Stand) -> None:
                with run.attempt(each.candidate):
                    await each.aask()

            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(one(hung), 0.1)
            await one(healthy)

    asyncio.run(main())
    assert telemetry.candidates[0]["failover.killed_by"] == "caller_timeout"
    assert events(telemetry.run) == {}


# --- hanging, and who serves ------------------------------------------------------------------------------------------


def test_a_hanging_candidate_is_told_while_it_hangs_once(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    FailoverInstrumentor().uninstrument()
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, meter_provider=meters, stale_after=0.05)
    with stand("openai", Answer.hang(), timeout=2.0) as only:

        async def main() -> None:
            with failover_run("chat", chain=[only.candidate]) as run:
                with run.attempt(only.candidate):
                    task = asyncio.create_task(only.aask())
                    await asyncio.sleep(0.2)
                    reader.get_metrics_data()
                    reader.get_metrics_data()
                    assert not telemetry.candidates
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task

        asyncio.run(main())
    meters.shutdown()
    (marker,) = telemetry.named("failover.hung")
    (candidate,) = telemetry.candidates
    assert (marker.parent_id, marker.end - marker.start, marker.status) == (candidate.span_id, 1000, "ERROR")
    assert marker["candidate.provider"] == "openai"
    assert marker["failover.silent.duration"] >= 0.05
    assert sum("has been silent for" in record.getMessage() for record in caplog.records) == 1


def test_an_attempt_longer_than_stale_is_found_at_the_end(telemetry: Telemetry, stack: ExitStack) -> None:
    again(telemetry, stale_after=0.1)
    hung = stack.enter_context(stand("openai", Answer.hang(), timeout=0.2))
    fall_back([hung, stack.enter_context(stand("anthropic"))])
    assert set(events(telemetry.run)) == {"hung_candidate"}


def test_a_silent_failover_is_told_when_who_serves_changes(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    again(telemetry, log_interval=0)
    caplog.set_level(logging.INFO, "otel_failover")
    first = stack.enter_context(stand("openai", Answer.ok(), Answer.ok(), Answer.openai_quota(), Answer.ok()))
    second = stack.enter_context(stand("anthropic"))
    for _ in range(4):
        fall_back([first, second])
    told = [record.getMessage() for record in caplog.records if "is now served by" in record.getMessage()]
    assert told == [
        "route (manual) is now served by anthropic/claude-opus-4-7, before by openai/gpt-5.5",
        "route (manual) is now served by openai/gpt-5.5, before by anthropic/claude-opus-4-7",
    ]


def test_a_finding_that_is_switched_off_is_not_told(telemetry: Telemetry) -> None:
    again(telemetry, disabled_rules=["local_failure"])
    with pytest.raises(KeyError), failover_run("chat", chain=["openai/a", "openai/b"]):
        raise KeyError("a")
    assert events(telemetry.run) == {}


def test_a_run_served_by_its_primary_has_nothing_to_find(telemetry: Telemetry) -> None:
    with stand("openai") as only:
        fall_back([only])
    assert telemetry.run.events == []
    assert telemetry.run["failover.findings"] is None


# --- refusals ---------------------------------------------------------------------------------------------------------


REFUSED = {
    "OpenAI": Answer.error(400, "Too long", code="string_above_max_length", type="invalid_request_error"),
    "OpenAI, by its type": Answer.error(400, "Invalid 'messages'", type="invalid_request_error"),
    "OpenAI, context": Answer.openai_context_overflow(),
    "Azure": Answer.error(400, "The response was filtered", code="content_filter"),
}


@pytest.mark.parametrize("how", ["raise at once", "fail over", "stop"])
@pytest.mark.parametrize("name", [*REFUSED, "Anthropic", "Gemini"])
@pytest.mark.parametrize("declared", [True, False], ids=["attempts", "bare"])
def test_a_request_that_was_rightly_refused_warns_of_nothing(
    telemetry: Telemetry,
    stack: ExitStack,
    caplog: pytest.LogCaptureFixture,
    name: str,
    how: str,
    declared: bool,
) -> None:
    """Whichever way the loop takes it."""
    wrong = Answer.error(400, "messages: too long", type="invalid_request_error")
    if name == "Anthropic":
        first = stack.enter_context(stand("anthropic", wrong))
    elif name == "Gemini":
        first = stack.enter_context(
            stand("gcp.gemini", Answer.error(400, "Too many tokens", code="INVALID_ARGUMENT"), kind="gemini")
        )
    else:
        first = stack.enter_context(stand("openai", REFUSED[name]))
    second = stack.enter_context(stand("anthropic", wrong, model="claude-haiku-4-5"))
    caplog.set_level(logging.INFO, "otel_failover")
    again(telemetry, log_interval=0.0)
    with suppress(Exception), failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        try:
            with run.attempt(first.candidate) if declared else nullcontext():
                first.ask()
        except Exception:
            if how == "stop":
                run.stop("bad request")
            if how != "fail over":
                raise
        with run.attempt(second.candidate) if declared else nullcontext():
            second.ask()
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []
    expected = {"raise at once": set(), "fail over": {"futile_failover"}, "stop": {"chain_stopped"}}
    assert set(events(telemetry.run)) - {"lossy_report"} == expected[how]
    assert telemetry.run.status == "ERROR"


BARE = [
    Answer.raw(400, ""),
    Answer.raw(400, "<html><h1>400 Bad Request</h1></html>"),
    Answer.raw(413, "<html><h1>413 Request Entity Too Large</h1></html>"),
    Answer.raw(400, '{"error": {"message": "?", "code": "weird"}}', content_type="application/json"),
]


@pytest.mark.parametrize("answer", BARE, ids=["empty", "a proxy's page", "too large for a proxy", "an unknown code"])
def test_a_refusal_without_a_code_that_we_know_is_a_bypass(
    telemetry: Telemetry, stack: ExitStack, answer: Answer
) -> None:
    """A proxy's bare 400: the next candidate might have served it."""
    first = stack.enter_context(stand("openai", answer))
    with suppress(Exception), failover_run("chat", chain=[first.candidate, "anthropic/m"]):
        first.ask()
    assert set(events(telemetry.run)) == {"chain_bypassed"}


def test_a_tool_loop_in_one_attempt_is_no_storm(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.ok(), Answer.ok(), Answer.openai_rate_limit()))
    second = stack.enter_context(stand("anthropic", *[Answer.ok()] * 3))
    with failover_run("agent", chain=[first.candidate, second.candidate]) as run:
        for each in (first, second):
            with suppress(Exception), run.attempt(each.candidate):
                for _ in range(3):
                    each.ask()
                break
    assert events(telemetry.run) == {}


BAD_KEY = Answer.openai_bad_key()


@pytest.mark.parametrize("where", ["bare", "attempts", "one attempt"])
@pytest.mark.parametrize(
    "answer",
    [
        BAD_KEY,
        Answer.openai_model_not_found("gpt-5.5"),
        Answer.error(403, "You may not", code="permission_denied"),
        Answer.error(402, "Insufficient balance"),
    ],
    ids=["401", "404", "403", "402"],
)
def test_the_same_refusal_asked_for_again(telemetry: Telemetry, stack: ExitStack, where: str, answer: Answer) -> None:
    first = stack.enter_context(stand("openai", *[answer] * 3))
    second = stack.enter_context(stand("anthropic", Answer.ok()))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with run.attempt(first.candidate) if where == "one attempt" else nullcontext():
            for _ in range(3):
                with suppress(Exception), run.attempt(first.candidate) if where == "attempts" else nullcontext():
                    first.ask()
        with run.attempt(second.candidate):
            second.ask()
    told = events(telemetry.run)
    assert set(told) == {"refusal_repeated"}
    assert told["refusal_repeated"]["failover.finding.fact.times"] == 3
    assert told["refusal_repeated"]["failover.finding.level"] == "warning"


@pytest.mark.parametrize("differs", ["key", "address", "model", "words", "key of the client", "429", "answered"])
def test_what_was_changed_in_between_is_no_repetition(telemetry: Telemetry, stack: ExitStack, differs: str) -> None:
    answers = {
        "words": [BAD_KEY, Answer.error(401, "The key has expired", code="invalid_api_key")],
        "429": [Answer.openai_quota()] * 2,
        "answered": [BAD_KEY, Answer.ok()],
    }.get(differs, [BAD_KEY] * 2)
    first = stack.enter_context(stand("openai", *answers))
    second = stack.enter_context(stand("anthropic", Answer.ok()))
    changed: dict[str, Any] = {
        "key": {"extra_headers": {"Authorization": "Bearer sk-proj-Another9Key8Of7This6One5"}},
        "model": {"model": "gpt-5.5-mini"},
    }
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        for turn in range(2):
            with suppress(Exception), run.attempt(first.candidate):
                client = first.client
                if turn and differs == "address":
                    client = client.with_options(base_url=f"{first.server.base_url}/v2/")
                if turn and differs == "key of the client":
                    client = client.with_options(api_key="sk-proj-Another9Key8Of7This6One5")
                asked = {"model": "gpt-5.5", "messages": MESSAGES, **(changed.get(differs, {}) if turn else {})}
                client.chat.completions.create(**asked)
        with run.attempt(second.candidate):
            second.ask()
    assert events(telemetry.run) == {}


# --- habits -----------------------------------------------------------------------------------------------------------


def test_5xx_repeated_while_nobody_else_is_ever_asked(telemetry: Telemetry, stack: ExitStack) -> None:
    broken = stack.enter_context(stand("openai", *[Answer.openai_server_error()] * 3))
    fall_back([broken, stack.enter_context(stand("anthropic"))], times=3, until=1)
    told = events(telemetry.run)
    assert set(told) == {"chain_bypassed", "outage_not_failed_over"}
    assert told["outage_not_failed_over"]["failover.finding.fact.waiting"] == ["anthropic/claude-opus-4-7"]
    assert told["outage_not_failed_over"]["failover.finding.level"] == "warning"


def test_a_few_quick_repeats_of_an_outage_are_fine(telemetry: Telemetry, stack: ExitStack) -> None:
    broken = stack.enter_context(stand("openai", *[Answer.openai_server_error()] * 3))
    fall_back([broken, stack.enter_context(stand("anthropic"))], times=3)
    assert events(telemetry.run) == {}


def sticky(stands: list[Stand], telemetry: Telemetry, order: str, name: str = "route") -> list[list[str] | None]:
    """Runs one after another, each by a letter: which of the chain it begins at, `s` for one that skips the first."""
    for letter in order:
        with failover_run("chat", chain=[each.candidate for each in stands], name=name) as run:
            if letter == "s":
                run.skip(stands[0].candidate, "cooldown")
            each = stands["ab".index(letter) if letter in "ab" else 1]
            with run.attempt(each.candidate):
                each.ask()
    return [run["failover.findings"] for run in telemetry.named("failover chat")]


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("bbbb", [None, None, ["sticky_fallback"], ["sticky_fallback"]]),
        ("bbabb", [None] * 5),
        ("bbsbb", [None] * 5),
        ("ssss", [None] * 4),
        ("aaaa", [None] * 4),
    ],
)
def test_a_chain_that_begins_at_a_fallback_run_after_run(
    telemetry: Telemetry, stack: ExitStack, order: str, told: list[list[str] | None]
) -> None:
    stands = [stack.enter_context(stand(provider, *[Answer.ok()] * 5)) for provider in ("openai", "anthropic")]
    assert sticky(stands, telemetry, order) == told


def test_other_loops_do_not_count(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = [stack.enter_context(stand(provider, *[Answer.ok()] * 5)) for provider in ("openai", "anthropic")]
    for name in ("one", "two", "three", "one", "two"):
        sticky(stands, telemetry, "b", name)
    assert [run["failover.findings"] for run in telemetry.named("failover chat")] == [None] * 5
