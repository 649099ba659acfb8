"""An error of the host's own code inside an attempt: its class is told, never its text, and never for an SDK's."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, stand

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.spans import Exported, Telemetry

SECRET: Final = "Zt9Qm4vRw8Lk2Hx7Pd3Jn6"
USERS: Final = "the letter that Mrs. Ahlgren wrote to her notary"
KEY: Final = "failover.reason.exception"


class BadAnswer(Exception):  # noqa: N818 - as hosts call theirs
    """A host's own."""


class AnswerError(openai.OpenAIError):
    """A host's own, made of an SDK's."""


def lookup() -> None:
    answer: dict[str, object] = {}
    answer[SECRET]


def cast() -> None:
    int(USERS)


def own() -> None:
    raise BadAnswer(f"{SECRET} {USERS}")


def chained() -> None:
    try:
        lookup()
    except KeyError as problem:
        raise BadAnswer(USERS) from problem


BUGS: Final[dict[str, tuple[Callable[[], None], str]]] = {
    "KeyError": (lookup, "KeyError"),
    "ValueError": (cast, "ValueError"),
    "a class of the host's": (own, "tests.core.runs.test_host_errors.BadAnswer"),
    "raised from another": (chained, "tests.core.runs.test_host_errors.BadAnswer"),
}
PROVIDERS: Final = ("openai", "anthropic", "gcp.gemini")


def only(telemetry: Telemetry) -> Exported:
    """Return the only candidate's span, and look for the texts in everything that left."""
    for raw in telemetry.exporter.raw:
        assert SECRET.encode() not in raw
        assert b"Ahlgren" not in raw
    (span,) = telemetry.candidates
    return span


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize("mode", ["whole", "streamed", "async"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_after_a_good_answer(telemetry: Telemetry, provider: str, mode: str, bug: str) -> None:
    broken, name = BUGS[bug]
    with stand(provider, Answer.ok(), kind="gemini" if provider == "gcp.gemini" else None) as asked:

        async def aask(run: Any) -> None:
            with run.attempt(asked.candidate):
                await asked.aask()
                broken()

        def ask(run: Any) -> None:
            with run.attempt(asked.candidate):
                if mode == "whole":
                    asked.ask()
                    broken()
                elif asked.server.kind == "gemini":
                    model = asked.candidate.model
                    for _ in asked.client.models.generate_content_stream(model=model, contents="hello"):
                        broken()
                else:
                    for _ in asked.ask(stream=True):
                        broken()

        with pytest.raises((KeyError, ValueError, BadAnswer)), failover_run("chat") as run:
            asyncio.run(aask(run)) if mode == "async" else ask(run)
    span = only(telemetry)
    assert span[KEY] == name
    assert (span["candidate.outcome"], span.status) == ("rejected", "UNSET")
    assert (span["error.type"], span["failover.reason.code"]) == (None, "response_rejected")
    assert not any(event for event, _ in span.events)


@pytest.mark.parametrize("bug", BUGS)
def test_before_anything_was_asked(telemetry: Telemetry, bug: str) -> None:
    broken, name = BUGS[bug]
    with stand("openai", Answer.ok()) as asked:
        with pytest.raises((KeyError, ValueError, BadAnswer)), failover_run("chat") as run:
            with run.attempt(asked.candidate):
                broken()
    span = only(telemetry)
    assert span[KEY] == name
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("error", "unknown")
    assert span.description == "unknown: openai"


def test_a_call_that_the_sdk_refuses_by_its_arguments(telemetry: Telemetry) -> None:
    """It raises before it is a call of its own: a bug of the host's, whoever finds it."""
    with stand("openai", Answer.ok()) as asked, pytest.raises(TypeError), failover_run("chat") as run:
        with run.attempt(asked.candidate):
            asked.client.chat.completions.create(model=SECRET)
    assert only(telemetry)[KEY] == "TypeError"


def test_the_name_of_a_class_is_redacted(telemetry: Telemetry) -> None:
    key = "sk-proj-Qw3eRt5yUi7oPa9sDf2gHj4kL6zX8cV1bN0m"
    made = type(f"Bad_{key}", (Exception,), {"__module__": "acme"})
    with stand("openai", Answer.ok()) as asked, pytest.raises(made), failover_run("chat") as run:
        with run.attempt(asked.candidate):
            raise made
    assert key.encode() not in b"".join(telemetry.exporter.raw)
    assert only(telemetry)[KEY] == "[redacted]"


# --- what is none ----------------------------------------------------------------------------------------------------


def _length() -> None:
    raise openai.LengthFinishReasonError(completion=openai.types.chat.ChatCompletion.model_construct(usage=None))


def _made_of_one() -> None:
    raise AnswerError(USERS)


@pytest.mark.parametrize("refuse", [_length, _made_of_one])
def test_an_sdks_own_is_not_the_hosts(telemetry: Telemetry, refuse: Callable[[], None]) -> None:
    with stand("openai", Answer.ok()) as asked, pytest.raises(openai.OpenAIError), failover_run("chat") as run:
        with run.attempt(asked.candidate):
            asked.ask()
            refuse()
    span = only(telemetry)
    assert (span["candidate.outcome"], span[KEY]) == ("rejected", None)


@pytest.mark.parametrize("wrapped", [True, False])
def test_where_the_candidate_failed_its_error_is_told(telemetry: Telemetry, wrapped: bool) -> None:  # noqa: FBT001
    with stand("openai", Answer.openai_quota()) as asked:
        with suppress(LoopError, openai.RateLimitError), failover_run("chat") as run, run.attempt(asked.candidate):
            try:
                asked.ask()
            except openai.RateLimitError as problem:
                if wrapped:
                    raise LoopError(str(problem)) from problem
                raise
    span = only(telemetry)
    assert (span["failover.reason.code"], span[KEY]) == ("billing", None)
    assert span.events[0][1]["exception.type"] == "openai.RateLimitError"


def test_a_deadline_of_the_callers_is_no_bug(telemetry: Telemetry) -> None:
    with stand("openai", Answer.ok()) as asked, pytest.raises(TimeoutError), failover_run("chat") as run:
        with run.attempt(asked.candidate):
            raise TimeoutError
    span = only(telemetry)
    assert (span["failover.reason.code"], span[KEY]) == ("timeout", None)


def test_a_lie_has_its_class_where_it_was_claimed(telemetry: Telemetry) -> None:
    """A mismatch is told as one, and by no other key."""
    with stand("openai", Answer.openai_quota()) as first, stand("anthropic", Answer.ok()) as second:
        with suppress(LoopError), failover_run("chat") as run:
            with suppress(openai.RateLimitError), run.attempt(first.candidate):
                first.ask()
            with run.attempt(second.candidate):
                second.ask()
                raise LoopError(run.errors[0].message)
    span = telemetry.candidates[1]
    assert span.verdict == ("mismatch", "stale_error")
    assert span[KEY] is None
    assert span["failover.attribution.claimed.type"] == "tests.support.hosts.LoopError"


def test_a_served_request_has_none(telemetry: Telemetry) -> None:
    with stand("openai", Answer.ok()) as asked, failover_run("chat") as run, run.attempt(asked.candidate):
        asked.ask()
    assert only(telemetry)[KEY] is None
