# ruff: noqa: PT012, SIM117 - a loop as people write it does not fit into one statement
"""Attempts to make the checker lie, with real SDKs: thefts it must see, and honest traces it must leave alone."""

from __future__ import annotations

import asyncio
import enum
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from opentelemetry.trace import StatusCode

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import MESSAGES, LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_failover import Attempt
    from tests.support.spans import Exported, Telemetry

    Act = Callable[[Attempt, list[Exception]], None]

QUOTA = str(Answer.openai_quota().message)


def wrong(reason: str) -> pytest.MarkDecorator:
    """Mark what the contract decides and the code does otherwise."""
    return pytest.mark.xfail(strict=True, reason=reason)


HANDMADE = Answer.error(500, "Our scheduler could not place this request on any replica", code="no_replica")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def out_of_quota(stack: ExitStack) -> Stand:
    return stack.enter_context(stand("openai", Answer.openai_quota()))


@pytest.fixture
def hanging(stack: ExitStack) -> Stand:
    return stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.15))


@pytest.fixture
def limited(stack: ExitStack) -> Stand:
    return stack.enter_context(stand("openrouter", Answer.openai_rate_limit()))


@pytest.fixture
def broken(stack: ExitStack) -> Stand:
    """Answers with an error that is nobody else's."""
    return stack.enter_context(stand("openrouter", HANDMADE))


def second(telemetry: Telemetry, stands: list[Stand], act: Act, ask: Callable[[Stand], Any] | None = None) -> Exported:
    """Try each; from the second failure on, do what the test wants with all errors so far. Return the second span."""
    errors: list[Exception] = []
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            try:
                with run.attempt(each.candidate) as attempt:
                    try:
                        (ask or Stand.ask)(each)
                    except Exception as problem:  # noqa: BLE001 - a loop's own retry
                        errors.append(problem)
                        if len(errors) == 1:
                            raise
                        act(attempt, errors)
            except Exception:  # noqa: BLE001 - the loop goes on
                continue
    return telemetry.candidates[1]


def nothing_flagged(telemetry: Telemetry) -> None:
    assert telemetry.markers == []
    for span in telemetry.spans:
        assert span["failover.attribution.verdict"] in (None, "verified", "unverified"), (span.name, span.verdict)


def is_stolen(span: Exported, bound_by: str, rule: str = "stale_error", source: str = "openai") -> None:
    assert span.verdict == ("mismatch", rule)
    assert span["failover.attribution.source.provider"] == source
    assert span["failover.attribution.bound_by"] == bound_by


# --- honest: reports --------------------------------------------------------------------------------------------------


def test_a_report_raised_from_the_last_error(telemetry: Telemetry, out_of_quota: Stand, hanging: Stand) -> None:
    """`raise AllFailed(...) from last_error` is how most loops end."""

    def act(attempt: Attempt, errors: list[Exception]) -> None:
        raise LoopError("; ".join(map(str, errors))) from errors[-1]

    span = second(telemetry, [out_of_quota, hanging], act)
    nothing_flagged(telemetry)
    assert span.verdict == ("unverified", "report")


def test_a_report_with_the_last_status_raised_from_the_last_error(
    telemetry: Telemetry, out_of_quota: Stand, limited: Stand
) -> None:
    def act(attempt: Attempt, errors: list[Exception]) -> None:
        raise LoopError("; ".join(map(str, errors)), status_code=429) from errors[-1]

    span = second(telemetry, [out_of_quota, limited], act)
    nothing_flagged(telemetry)
    assert span.verdict == ("unverified", "report")


def test_a_report_raised_from_the_first_error(telemetry: Telemetry, out_of_quota: Stand, hanging: Stand) -> None:
    def act(attempt: Attempt, errors: list[Exception]) -> None:
        raise LoopError("; ".join(map(str, errors))) from errors[0]

    span = second(telemetry, [out_of_quota, hanging], act)
    nothing_flagged(telemetry)
    assert span.verdict == ("unverified", "report")


def test_a_report_without_the_full_stops(telemetry: Telemetry, out_of_quota: Stand, hanging: Stand) -> None:
    """OpenClaw's summary: "a/m: text (reason) | b/m: text (reason)", each text stripped of its full stop."""

    def act(attempt: Attempt, errors: list[Exception]) -> None:
        texts = " | ".join(f"{str(error).rstrip('.')} (failed)" for error in errors)
        raise LoopError(f"All models failed (2): {texts}") from None

    second(telemetry, [out_of_quota, hanging], act)
    nothing_flagged(telemetry)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are new in 3.11")
class TestGroups:
    def test_a_group_of_the_loops_own_errors(self, telemetry: Telemetry, out_of_quota: Stand, hanging: Stand) -> None:
        """Each candidate's error is wrapped in the loop's own; the first one has left its attempt before."""
        wrapped: list[Exception] = []

        def one(each: Stand) -> None:
            try:
                each.ask()
            except Exception as problem:
                wrapped.append(LoopError(f"{each.candidate.provider}: {problem}"))
                problems: list[Exception] = list(wrapped)
                raise (wrapped[0] if len(wrapped) == 1 else ExceptionGroup("all failed", problems)) from None  # noqa: F821

        with failover_run("chat", chain=[out_of_quota.candidate, hanging.candidate]) as run:
            for each in (out_of_quota, hanging):
                with pytest.raises((LoopError, ExceptionGroup)), run.attempt(each.candidate):  # noqa: F821
                    one(each)
        nothing_flagged(telemetry)
        assert telemetry.candidates[1].verdict == ("unverified", "report")

    def test_a_group_whose_own_member_is_in_a_group(
        self, telemetry: Telemetry, out_of_quota: Stand, hanging: Stand
    ) -> None:
        def act(attempt: Attempt, errors: list[Exception]) -> None:
            inner = ExceptionGroup("second", [errors[1]])  # noqa: F821
            raise ExceptionGroup("all failed", [errors[0], inner])  # noqa: F821

        span = second(telemetry, [out_of_quota, hanging], act)
        nothing_flagged(telemetry)
        assert span.verdict == ("unverified", "report")

    def test_a_group_of_groups(self, telemetry: Telemetry, out_of_quota: Stand, hanging: Stand) -> None:
        """Each candidate is asked in a task group, and raises one."""
        groups: list[Exception] = []

        def one(each: Stand) -> None:
            try:
                each.ask()
            except Exception as problem:
                groups.append(ExceptionGroup("one task failed", [problem]))  # noqa: F821
                raise (groups[0] if len(groups) == 1 else ExceptionGroup("all", groups)) from None  # noqa: F821

        with failover_run("chat", chain=[out_of_quota.candidate, hanging.candidate]) as run:
            for each in (out_of_quota, hanging):
                with pytest.raises(ExceptionGroup), run.attempt(each.candidate):  # noqa: F821
                    one(each)
        nothing_flagged(telemetry)

    def test_a_group_with_only_foreign_members_is_theft(
        self, telemetry: Telemetry, out_of_quota: Stand, hanging: Stand
    ) -> None:
        def act(attempt: Attempt, errors: list[Exception]) -> None:
            raise ExceptionGroup("all failed", [errors[0]])  # noqa: F821

        is_stolen(second(telemetry, [out_of_quota, hanging], act), "object")


# --- honest: replays --------------------------------------------------------------------------------------------------


def test_a_replay_across_runs_beside_an_own_timeout(telemetry: Telemetry, stack: ExitStack) -> None:
    """The candidate's own error of a minute ago, told again after it hung: replayed, not stolen from itself."""
    only = stack.enter_context(stand("openai", Answer.openai_quota(), Answer.hang(), timeout=0.15))
    texts: list[str] = []
    for _ in range(2):
        with failover_run("chat", chain=[only.candidate]) as run:
            with pytest.raises(LoopError), run.attempt(only.candidate):
                try:
                    only.ask()
                except Exception as problem:  # noqa: BLE001 - that is the loop
                    texts.append(str(problem))
                    raise LoopError(texts[0]) from None
    assert telemetry.markers == []
    assert telemetry.candidates[1]["failover.error.replayed"] is True


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(lambda error: error, id="object"),
        pytest.param(lambda error: LoopError(str(error)), id="text"),
    ],
)
def test_a_replay_within_a_run_beside_an_own_timeout(
    telemetry: Telemetry, stack: ExitStack, again: Callable[[Exception], Exception]
) -> None:
    only = stack.enter_context(stand("openai", Answer.openai_quota(), Answer.hang(), timeout=0.15))
    errors: list[Exception] = []
    with failover_run("chat", chain=[only.candidate]) as run:
        for _ in range(2):
            with pytest.raises((LoopError, openai.OpenAIError)), run.attempt(only.candidate):
                try:
                    only.ask()
                except Exception as problem:  # noqa: BLE001 - that is the loop
                    errors.append(problem)
                    raise again(errors[0]) from None
    assert telemetry.markers == []
    assert telemetry.candidates[1]["failover.error.replayed"] is True
    assert telemetry.candidates[1]["failover.reason.code"] == "timeout"


# --- honest: constants and the loop's own shapes ----------------------------------------------------------------------


class Reason(enum.Enum):
    """As Hermes has it."""

    RATE_LIMIT = "rate_limit"


CONSTANT_ERROR = {"status": 429, "reason": "rate_limit"}


@pytest.mark.parametrize("word", [Reason.RATE_LIMIT, 429, CONSTANT_ERROR, ("rate_limit",)], ids=str)
def test_constants_passed_to_fail_belong_to_nobody(telemetry: Telemetry, stack: ExitStack, word: Any) -> None:
    """The same enum member, number or dict says what happened at every candidate."""
    stands = [
        stack.enter_context(stand("openai", Answer.openai_rate_limit())),
        stack.enter_context(stand("anthropic", Answer.anthropic_rate_limit())),
    ]
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            with run.attempt(each.candidate) as attempt:
                with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)):
                    each.ask()
                attempt.fail(word)
    nothing_flagged(telemetry)


def test_a_loops_own_envelope_is_no_providers_body(telemetry: Telemetry, out_of_quota: Stand, hanging: Stand) -> None:
    """JSON-RPC, or any result type: `{"error": {...}}` with the loop's own words for a timeout."""

    def act(attempt: Attempt, errors: list[Exception]) -> None:
        attempt.fail({"error": {"message": "no answer in time", "type": "timeout"}})

    second(telemetry, [out_of_quota, hanging], act)
    nothing_flagged(telemetry)


def test_connection_is_a_fair_word_for_an_address_that_cannot_be_asked(telemetry: Telemetry) -> None:
    """The SDK itself says "Connection error." for a base URL without a scheme."""
    client = openai.OpenAI(base_url="localhost:1/v1", api_key="key-Hm4nB6vC8xZa1qWs3e", max_retries=0)
    with failover_run("chat", chain=["openai/gpt-5.5"]) as run, run.attempt("openai/gpt-5.5") as attempt:
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(model="gpt-5.5", messages=MESSAGES)
        attempt.fail("connection")
    nothing_flagged(telemetry)


def test_a_timeout_that_the_loop_calls_by_every_usual_word(telemetry: Telemetry, stack: ExitStack) -> None:
    for word in ("timeout", "timed_out", "network", "connection_error", "overloaded", "server_error", "unknown"):
        only = stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.05))
        with failover_run("chat", chain=[only.candidate]) as run, run.attempt(only.candidate) as attempt:
            with pytest.raises(anthropic.APITimeoutError):
                only.ask()
            attempt.fail(word)
    nothing_flagged(telemetry)


# --- honest: own bytes ------------------------------------------------------------------------------------------------


def test_an_own_text_that_stands_late_in_a_long_body(
    telemetry: Telemetry, stack: ExitStack, out_of_quota: Stand
) -> None:
    """A proxy relays the upstream's words behind its own traceback, and the loop says the end of it."""
    long = "a line of the proxy's traceback " * 700 + "upstream said: " + QUOTA
    proxy = stack.enter_context(stand("openrouter", Answer.error(502, long)))

    def act(attempt: Attempt, errors: list[Exception]) -> None:
        raise LoopError(str(errors[-1])[-280:]) from None

    second(telemetry, [out_of_quota, proxy], act)
    nothing_flagged(telemetry)


def test_a_span_around_the_run_that_repeats_what_stood_in_a_success(
    telemetry: Telemetry, stack: ExitStack, out_of_quota: Stand
) -> None:
    relay = stack.enter_context(stand("openrouter", Answer.ok(f"Error: {QUOTA}")))
    with telemetry.tracer.start_as_current_span("chat") as outer:
        outer.set_attribute("gen_ai.provider.name", "openrouter")
        with failover_run("chat", chain=[out_of_quota.candidate, relay.candidate]) as run:
            with pytest.raises(openai.RateLimitError), run.attempt(out_of_quota.candidate):
                out_of_quota.ask()
            with run.attempt(relay.candidate) as attempt:
                said = relay.ask().choices[0].message.content
                attempt.reject("error in the text")
        outer.set_status(StatusCode.ERROR, said)
    nothing_flagged(telemetry)


def test_words_that_merely_start_alike(telemetry: Telemetry, stack: ExitStack) -> None:
    """Two candidates begin their refusals with the same thirty characters, and the loop cuts them short."""
    one = Answer.error(429, "Rate limit reached for requests on your plan; upgrade it in the console")
    two = Answer.error(429, "Rate limit reached for requests on this shared endpoint, which others use too")

    def act(attempt: Attempt, errors: list[Exception]) -> None:
        raise LoopError(str(errors[-1].body["message"])[:34] + "...") from None  # type: ignore[attr-defined]

    stands = [stack.enter_context(stand("openai", one)), stack.enter_context(stand("openrouter", two))]
    second(telemetry, stands, act)
    nothing_flagged(telemetry)


def test_a_nested_run_that_fails_with_its_own_words(
    telemetry: Telemetry, out_of_quota: Stand, broken: Stand, hanging: Stand
) -> None:
    """The second candidate is itself a loop; its error sums up what happened inside."""
    gateway = Candidate("litellm-router", "any")
    with failover_run("chat", chain=[out_of_quota.candidate, gateway]) as run:
        with pytest.raises(openai.RateLimitError), run.attempt(out_of_quota.candidate):
            out_of_quota.ask()
        with pytest.raises(LoopError), run.attempt(gateway):
            texts: list[str] = []
            with failover_run("inner", chain=[broken.candidate, hanging.candidate]) as inner:
                for each in (broken, hanging):
                    try:
                        with inner.attempt(each.candidate):
                            each.ask()
                    except Exception as problem:  # noqa: BLE001 - a loop's own retry
                        texts.append(str(problem))
            raise LoopError("; ".join(texts))
    nothing_flagged(telemetry)


def test_both_errors_hedged_and_each_says_its_own(telemetry: Telemetry, out_of_quota: Stand, broken: Stand) -> None:
    async def one(run: Any, each: Stand) -> None:
        with run.attempt(each.candidate):
            try:
                await each.aask()
            except Exception as problem:
                raise LoopError(str(problem)) from None

    async def serve() -> None:
        with failover_run("chat", chain=[out_of_quota.candidate, broken.candidate]) as run:
            await asyncio.gather(one(run, out_of_quota), one(run, broken), return_exceptions=True)

    asyncio.run(serve())
    nothing_flagged(telemetry)
    assert {span.verdict for span in telemetry.candidates} == {("verified", None)}


def test_half_an_emoji_in_a_providers_message_loses_no_span(telemetry: Telemetry, stack: ExitStack) -> None:
    """A provider that quotes a prompt by characters cuts an emoji in two; JSON carries the half."""
    body = b'{"error": {"message": "invalid prompt: hello \\ud83d", "type": "invalid_request_error", "code": null}}'
    only = stack.enter_context(stand("openai", Answer.raw(400, body, content_type="application/json")))
    with failover_run("chat", chain=[only.candidate]) as run, pytest.raises(openai.BadRequestError):
        with run.attempt(only.candidate):
            only.ask()
    assert [span["failover.reason.code"] for span in telemetry.candidates] == ["invalid_request"]


# --- thefts: the exception --------------------------------------------------------------------------------------------


def test_own_object_with_a_foreign_message_attribute(telemetry: Telemetry, out_of_quota: Stand, limited: Stand) -> None:
    """litellm writes `.message` after the fact; `str()` still says the old text."""

    def act(attempt: Attempt, errors: list[Exception]) -> None:
        errors[-1].message = str(errors[0])  # type: ignore[attr-defined]
        raise errors[-1]

    assert second(telemetry, [out_of_quota, limited], act).verdict == ("inconsistent", "mixed_error")


def test_own_object_with_a_foreign_body(telemetry: Telemetry, out_of_quota: Stand, limited: Stand) -> None:
    def act(attempt: Attempt, errors: list[Exception]) -> None:
        errors[-1].body = errors[0].body  # type: ignore[attr-defined]
        raise errors[-1]

    assert second(telemetry, [out_of_quota, limited], act).verdict == ("inconsistent", "mixed_error")


def test_own_object_with_a_foreign_request_id(telemetry: Telemetry, out_of_quota: Stand, limited: Stand) -> None:
    def act(attempt: Attempt, errors: list[Exception]) -> None:
        errors[-1].request_id = errors[0].request_id  # type: ignore[attr-defined]
        raise errors[-1]

    is_stolen(second(telemetry, [out_of_quota, limited], act), "request_id")


@pytest.mark.parametrize("again", [lambda e: e, lambda e: LoopError(str(e))], ids=["object", "from it"])
def test_a_stale_error_whose_call_ran_in_a_thread_without_context(
    telemetry: Telemetry,
    stack: ExitStack,
    out_of_quota: Stand,
    hanging: Stand,
    again: Callable[[Exception], Exception],
) -> None:
    """The first attempt has taken the orphan in; no second one may."""
    pool = stack.enter_context(ThreadPoolExecutor(1))

    def ask(each: Stand) -> Any:
        return pool.submit(each.ask).result() if each is out_of_quota else each.ask()

    def act(attempt: Attempt, errors: list[Exception]) -> None:
        stale = again(errors[0])
        raise stale from (errors[0] if stale is not errors[0] else None)

    span = second(telemetry, [out_of_quota, hanging], act, ask)
    assert span["http.response.status_code"] is None
    assert span["failover.reason.code"] == "timeout"
    assert span.verdict == ("mismatch", "stale_error")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: json.dumps({"error": {"message": text}}),
        lambda text: repr({"message": text}),
        lambda text: json.dumps(json.dumps({"m": text})),
        str.upper,
        lambda text: f"<b>{text}</b>",
        lambda text: f"**{text}**",
        lambda text: text.replace(" ", "\n"),
        lambda text: f"anthropic—{text}",
        lambda text: text[:60] + " […]",
        lambda text: f"'{text[:40]}'",
    ],
    ids=["json", "repr", "json twice", "upper", "html", "markdown", "lines", "dash", "cut", "cut and quoted"],
)
def test_a_stale_text_in_any_wrapping(
    telemetry: Telemetry, out_of_quota: Stand, broken: Stand, wrap: Callable[[str], str]
) -> None:
    def act(attempt: Attempt, errors: list[Exception]) -> None:
        raise LoopError(wrap(QUOTA)) from None

    is_stolen(second(telemetry, [out_of_quota, broken], act), "text")


@pytest.mark.parametrize("glue", ["429|{}", "\x1b[31m{}\x1b[0m", "<h1>{}</h1>"], ids=["pipe", "colour", "html"])
def test_a_stale_text_glued_to_a_digit(telemetry: Telemetry, out_of_quota: Stand, broken: Stand, glue: str) -> None:
    def act(attempt: Attempt, errors: list[Exception]) -> None:
        raise LoopError(glue.format(QUOTA)) from None

    is_stolen(second(telemetry, [out_of_quota, broken], act), "text")


@pytest.mark.parametrize("message", ["Das Guthaben dieses Kontos ist aufgebraucht, bitte prüfen Sie die Zahlungsart"])
def test_a_stale_text_beyond_ascii_in_json(telemetry: Telemetry, stack: ExitStack, broken: Stand, message: str) -> None:
    """`json.dumps` escapes what is not ASCII, unless told otherwise."""
    first = stack.enter_context(stand("openai", Answer.error(402, message)))

    def act(attempt: Attempt, errors: list[Exception]) -> None:
        raise LoopError(json.dumps({"message": message})) from None

    is_stolen(second(telemetry, [first, broken], act), "text")


# --- thefts: what a loop says -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "say",
    [
        pytest.param(lambda attempt: attempt.fail(QUOTA), id="sentence"),
        pytest.param(lambda attempt: attempt.fail({"reason": QUOTA}), id="reason of a dict"),
        pytest.param(lambda attempt: attempt.fail(LoopError("no", reason=QUOTA)), id="reason of an error"),
        pytest.param(lambda attempt: attempt.reject(QUOTA), id="reject"),
        pytest.param(lambda attempt: attempt.fail({"message": QUOTA}), id="message"),
        pytest.param(lambda attempt: attempt.fail({"error": QUOTA}), id="error"),
        pytest.param(lambda attempt: attempt.fail({"detail": [{"msg": QUOTA}]}), id="detail"),
    ],
)
def test_a_stale_text_that_the_loop_says(
    telemetry: Telemetry, out_of_quota: Stand, hanging: Stand, say: Callable[[Attempt], None]
) -> None:
    def act(attempt: Attempt, errors: list[Exception]) -> None:
        say(attempt)

    span = second(telemetry, [out_of_quota, hanging], act)
    is_stolen(span, "text")
    assert span["failover.reason.host"] is None


def test_status_and_code_of_google_are_facts(telemetry: Telemetry, stack: ExitStack, broken: Stand) -> None:
    """Google writes its codes in capitals."""
    body = json.dumps({"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}})
    first = stack.enter_context(stand("gcp.gemini", Answer.raw(429, body, content_type="application/json")))

    def act(attempt: Attempt, errors: list[Exception]) -> None:
        raise LoopError("candidate failed", status_code=429, code="RESOURCE_EXHAUSTED") from None

    is_stolen(second(telemetry, [first, broken], act), "facts", source="gcp.gemini")


def test_a_stream_that_breaks_off_and_is_reported_with_a_stale_text(
    telemetry: Telemetry, stack: ExitStack, out_of_quota: Stand
) -> None:
    cut = stack.enter_context(stand("openrouter", Answer.stream(["Hel", "lo"], then="cut")))

    def act(attempt: Attempt, errors: list[Exception]) -> None:
        raise LoopError(QUOTA) from errors[-1]

    span = second(telemetry, [out_of_quota, cut], act, lambda each: list(each.ask(stream=True)))
    is_stolen(span, "text")
    assert span["candidate.outcome"] == "partial"


def test_an_error_of_an_attempt_that_is_still_alive(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    other = stack.enter_context(stand("openrouter", HANDMADE))

    async def serve() -> None:
        texts: list[str] = []
        refused, told = asyncio.Event(), asyncio.Event()

        async def one(run: Any) -> None:
            with run.attempt(first.candidate):
                try:
                    await first.aask()
                except openai.RateLimitError as problem:
                    texts.append(str(problem))
                    refused.set()
                    await told.wait()

        async def two(run: Any) -> None:
            with run.attempt(other.candidate):
                try:
                    await other.aask()
                except openai.InternalServerError:
                    await refused.wait()
                    raise LoopError(texts[0]) from None
                finally:
                    told.set()

        with failover_run("chat", chain=[first.candidate, other.candidate]) as run:
            await asyncio.gather(one(run), two(run), return_exceptions=True)

    asyncio.run(serve())
    (span,) = [each for each in telemetry.candidates if each["candidate.provider"] == "openrouter"]
    is_stolen(span, "text", "foreign_error")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer.openai_quota(), id="plain"),
        pytest.param(
            Answer.anthropic_rate_limit(),
            id="apostrophe",
        ),
    ],
)
def test_an_error_of_an_earlier_run(telemetry: Telemetry, stack: ExitStack, broken: Stand, answer: Answer) -> None:
    """Found by fingerprint, in the text as the SDK's exception has it."""
    provider = "anthropic" if answer.type == "rate_limit_error" else "openai"
    first = stack.enter_context(stand(provider, answer))
    with failover_run("chat", chain=[first.candidate]) as run:
        with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as caught, run.attempt(first.candidate):
            first.ask()
    with failover_run("chat", chain=[broken.candidate]) as run:
        with pytest.raises(LoopError), run.attempt(broken.candidate):
            try:
                broken.ask()
            except openai.InternalServerError:
                raise LoopError(str(caught.value)) from None
    is_stolen(telemetry.candidates[1], "text", source=provider)


def test_an_outer_attempts_error_told_by_a_nested_one(telemetry: Telemetry, out_of_quota: Stand, broken: Stand) -> None:
    gateway = Candidate("litellm-router", "any")
    with failover_run("chat", chain=[out_of_quota.candidate, gateway]) as run:
        with pytest.raises(openai.RateLimitError) as caught, run.attempt(out_of_quota.candidate):
            out_of_quota.ask()
        with pytest.raises(LoopError), run.attempt(gateway):
            with failover_run("inner", chain=[broken.candidate]) as inner, inner.attempt(broken.candidate):
                try:
                    broken.ask()
                except openai.InternalServerError:
                    raise LoopError(str(caught.value)) from None
    (span,) = [each for each in telemetry.candidates if each["candidate.provider"] == "openrouter"]
    is_stolen(span, "text")


# --- thefts: on spans of the application ------------------------------------------------------------------------------


def with_inner_span(telemetry: Telemetry, stands: list[Stand], write: Callable[[Any], None]) -> Exported:
    def act(attempt: Attempt, errors: list[Exception]) -> None:
        with telemetry.tracer.start_as_current_span("ask") as span:
            write(span)
        raise errors[-1]

    second(telemetry, stands, act)
    (span,) = telemetry.named("ask")
    return span


def test_an_exception_event_before_many_others(telemetry: Telemetry, out_of_quota: Stand, hanging: Stand) -> None:
    def write(span: Any) -> None:
        span.set_status(StatusCode.ERROR)
        span.add_event("exception", {"exception.type": "LoopError", "exception.message": QUOTA})
        for number in range(12):
            span.add_event("chunk", {"number": number})

    is_stolen(with_inner_span(telemetry, [out_of_quota, hanging], write), "text")


@pytest.mark.parametrize(
    "key",
    [
        "error.message",
        pytest.param("error.description"),
        pytest.param("error.msg"),
    ],
)
def test_any_key_under_error_is_a_claim(telemetry: Telemetry, out_of_quota: Stand, hanging: Stand, key: str) -> None:
    is_stolen(
        with_inner_span(telemetry, [out_of_quota, hanging], lambda span: span.set_attribute(key, QUOTA)),
        "text",
    )


@pytest.mark.parametrize(
    "key", ["fallback.previous_error", "retry.error.message", "previous.error.message", "input.value"]
)
def test_what_speaks_of_earlier_candidates_is_no_claim(
    telemetry: Telemetry, out_of_quota: Stand, hanging: Stand, key: str
) -> None:
    with_inner_span(telemetry, [out_of_quota, hanging], lambda span: span.set_attribute(key, QUOTA))
    nothing_flagged(telemetry)


def test_a_span_around_the_run_that_blames_the_wrong_candidate(
    telemetry: Telemetry, out_of_quota: Stand, hanging: Stand
) -> None:
    def act(attempt: Attempt, errors: list[Exception]) -> None:
        raise errors[-1]

    with telemetry.tracer.start_as_current_span("chat") as outer:
        outer.set_attribute("gen_ai.provider.name", "anthropic")
        second(telemetry, [out_of_quota, hanging], act)
        outer.set_status(StatusCode.ERROR, QUOTA)
    is_stolen(telemetry.named("chat")[0], "text")


def test_a_provider_code_that_nobody_of_ours_sent(telemetry: Telemetry, out_of_quota: Stand, hanging: Stand) -> None:
    """`rate_limit_error` is Anthropic's own code; own evidence is a timeout: whatever it is, it is not verified."""
    span = with_inner_span(
        telemetry,
        [out_of_quota, hanging],
        lambda span: span.set_attribute("error.type", "rate_limit_error"),
    )
    assert span.verdict[0] != "verified"


@pytest.mark.parametrize(
    ("word", "named", "flagged"),
    [("strands-agents", "first", True), ("acme-gw", "second", True), ("strands-agents", "last", False)],
    ids=["a framework's word", "a gateway of the chain", "the truth under a framework's word"],
)
def test_a_span_around_the_run_whose_provider_nobody_knows(
    word: str, named: str, flagged: bool, telemetry: Telemetry
) -> None:
    """A word that is no provider leaves the model to tell, unless the chain has a candidate of that name."""
    overloaded = Answer.error(529, code="overloaded_error", message="The whole region is overloaded, try again later")
    with (
        stand("openai", Answer.openai_quota(), model="shared") as first,
        stand("acme-gw", overloaded, model="shared") as second,
        stand("anthropic", Answer.anthropic_credit_too_low(), model="own") as last,
        stand("gcp.gemini", Answer.error(500, "An internal error while the model was loading"), model="third") as after,
    ):
        models = {"first": "shared", "second": "shared", "last": "own"}
        claimed = {"first": last, "second": first, "last": last}[named]
        tried = [first, last, after] if word == "strands-agents" else [first, second]
        with telemetry.tracer.start_as_current_span("invoke_agent", record_exception=False) as span:
            said: dict[str, str] = {}
            with failover_run("chat", chain=[each.candidate for each in tried]) as run:
                for each in tried:
                    try:
                        with run.attempt(each.candidate):
                            each.ask()
                    except Exception as problem:  # noqa: BLE001 - the loop goes on
                        said[each.candidate.provider] = str(problem)
            span.set_attributes({"gen_ai.system": word, "gen_ai.request.model": models[named]})
            span.set_status(StatusCode.ERROR, said[claimed.candidate.provider])
    (around,) = telemetry.named("invoke_agent")
    assert [marker.parent_id for marker in telemetry.markers] == [around.span_id] * flagged
