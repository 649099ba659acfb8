"""What a candidate's span and its calls' say of an end, in a sentence, after real requests by real SDKs."""

# ruff: noqa: SIM117 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import asyncio
import re
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import anthropic
import openai
import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.loopback import Ending, Head, LoopbackServer, Pause
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS, LONG, MESSAGES, MODELS, LoopError, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_failover.testing.loopback import Request, Steps
    from tests.support.spans import Exported, Telemetry

SHORT: Final = 0.3
SECONDS: Final = re.compile(r"(\d+\.\d) s")


def stalling(status: int) -> Callable[[Request], Steps]:
    """Answer with a whole head and a piece of the body, and then never again."""

    def handle(_: Request) -> Steps:
        yield Head(status, {"content-type": "application/json", "content-length": "4000"}, b'{"id": "msg_1", "ob')
        yield Pause(30)
        return Ending.CLOSE

    return handle


@contextmanager
def half_an_answer(status: int = 200) -> Iterator[str]:
    server = LoopbackServer(stalling(status))
    server.start("half an answer")
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.close()


def options_at(url: str) -> dict[str, Any]:
    return {"base_url": url, "api_key": KEYS["openai"], "max_retries": 0, "timeout": SHORT}


def of_openai(url: str) -> object:
    return openai.OpenAI(**options_at(f"{url}/v1")).chat.completions.create(model="m", messages=MESSAGES)


async def aof_openai(url: str) -> object:
    client = openai.AsyncOpenAI(**options_at(f"{url}/v1"))
    return await client.chat.completions.create(model="m", messages=MESSAGES)


def of_anthropic(url: str) -> object:
    return anthropic.Anthropic(**options_at(url)).messages.create(model="m", messages=MESSAGES, max_tokens=9)


async def aof_anthropic(url: str) -> object:
    client = anthropic.AsyncAnthropic(**options_at(url))
    return await client.messages.create(model="m", messages=MESSAGES, max_tokens=9)


def gemini(url: str) -> Any:
    genai = pytest.importorskip("google.genai")
    return genai.Client(api_key="k", http_options=genai.types.HttpOptions(base_url=url, timeout=int(SHORT * 1000)))


def of_gemini(url: str) -> object:
    client = gemini(url)
    return client.models.generate_content(model="m", contents="hello")


async def aof_gemini(url: str) -> object:
    client = gemini(url)
    return await client.aio.models.generate_content(model="m", contents="hello")


def of_bedrock(url: str) -> object:
    session = pytest.importorskip("botocore.session").Session()
    config = pytest.importorskip("botocore.config").Config(retries={"total_max_attempts": 1}, read_timeout=SHORT)
    session.set_credentials("AKIAZ7QW3ERT5YUI9OPA", "wJq8vL2mN4xWc7RtYbH3kPs6dFg9hJ1zXcVbNm0Q")
    client = session.create_client("bedrock-runtime", region_name="us-east-1", endpoint_url=url, config=config)
    return client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "hello"}]}])


def awaited(ask: Callable[[str], Any]) -> Callable[[str], object]:
    return lambda url: asyncio.run(ask(url))


WHOLE: Final[dict[str, Callable[[str], object]]] = {
    "openai": of_openai,
    "openai, async": awaited(aof_openai),
    "anthropic": of_anthropic,
    "anthropic, async": awaited(aof_anthropic),
    "google-genai": of_gemini,
    "google-genai, async": awaited(aof_gemini),
    "bedrock": of_bedrock,
}


def in_run(candidate: Candidate, ask: Callable[[], object]) -> str:
    """Ask in an attempt of a run; return the candidate's own error, as a loop reads it."""
    with failover_run("chat", chain=[candidate]) as run:
        attempt = run.attempt(candidate)
        with suppress(Exception), attempt:
            ask()
    assert attempt.error is not None
    return attempt.error.message


def said(telemetry: Telemetry) -> str:
    (span,) = telemetry.candidates
    return span.description


# --- the body never comes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "status"), [*((name, 200) for name in WHOLE), ("openai", 503), ("anthropic", 429)])
def test_it_did_answer_and_then_went_silent(telemetry: Telemetry, name: str, status: int) -> None:
    with half_an_answer(status) as url:
        told = in_run(Candidate("acme", "m", url), lambda: WHOLE[name](url))
    assert SECONDS.sub("<s>", told) == f"acme answered {status} and then went silent; given up after <s>"
    (span,) = telemetry.candidates
    assert span.description == told
    assert span["failover.reason.code"] == "timeout"
    assert span["http.response.status_code"] == status
    assert span["failover.wire.statuses"] == [str(status)]
    assert span.verdict == ("verified", None)


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_came_at_all(telemetry: Telemetry, name: str) -> None:
    """Twin: no status line either."""
    with LocalProvider("openai", Answer.hang()) as server:
        told = in_run(Candidate("acme", "m", server.endpoint), lambda: WHOLE[name](server.endpoint))
    assert SECONDS.sub("<s>", told) == "no response from acme within <s>"
    (span,) = telemetry.candidates
    assert (span["http.response.status_code"], span["failover.wire.statuses"]) == (None, ["-"])


def test_what_the_host_was_handling_is_not_what_was_heard(telemetry: Telemetry) -> None:
    """Twin: the second is asked where the first one's error is handled, so that Python chains the two."""
    with half_an_answer() as url, LocalProvider("openai", Answer.hang()) as server:
        first, second = Candidate("acme", "m", url), Candidate("umbrella", "m", server.endpoint)
        with failover_run("chat", chain=[first, second]) as run, suppress(openai.APITimeoutError):
            try:
                with run.attempt(first):
                    of_openai(url)
            except openai.APITimeoutError:
                with run.attempt(second):
                    of_openai(server.endpoint)
    heard, unheard = telemetry.candidates
    assert heard.description.startswith("acme answered 200")
    assert unheard.description.startswith("no response from umbrella within")


def test_an_answer_that_broke_off_told_nobodys_error(telemetry: Telemetry) -> None:
    """What was never read to its end has said nothing: words of an answer are nobody's, as after none at all."""
    with half_an_answer() as url:
        candidate = Candidate("acme", "m", url)
        with failover_run("chat", chain=[candidate]) as run, pytest.raises(LoopError), run.attempt(candidate):
            with suppress(openai.APITimeoutError):
                of_openai(url)
            raise LoopError("You exceeded your current quota, please check your plan and billing details.")
    assert telemetry.candidates[0].verdict == ("mismatch", "claimed_answer")
    assert re.fullmatch(r"200, then timeout after \d\.\d s", telemetry.markers[0]["failover.attribution.own"])


# --- a stream falls silent, or breaks off -----------------------------------------------------------------------------

STREAMS: Final = {
    "hang": (Answer.stream(["Fir", "st"], then="hang"), "{} answered 200 and then went silent; given up after <s>"),
    "cut": (Answer.stream(["Fir", "st"], then="cut"), "{} answered 200, then the connection failed"),
    "error": (Answer.stream(["Fir"], then="error", message="The worker is gone."), "The worker is gone."),
}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gcp.gemini"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_stream(telemetry: Telemetry, provider: str, kind: str, mode: str) -> None:
    answer, sentence = STREAMS[kind]
    spoken = "gemini" if provider == "gcp.gemini" else None
    with stand(provider, answer, timeout=SHORT, kind=spoken) as asked:

        async def aread() -> None:
            if spoken:
                chunks = await asked.aclient.models.generate_content_stream(
                    model=asked.candidate.model, contents="hello"
                )
            else:
                chunks = await asked.aask(stream=True)
            async for _ in chunks:
                pass

        def read() -> None:
            if mode == "async":
                asyncio.run(aread())
            elif spoken:
                list(asked.client.models.generate_content_stream(model=asked.candidate.model, contents="hello"))
            else:
                list(asked.ask(stream=True))

        told = in_run(asked.candidate, read)
    assert SECONDS.sub("<s>", told) == sentence.format(provider)
    assert said(telemetry) == told


def test_a_stream_that_its_caller_gave_up(telemetry: Telemetry) -> None:
    with (
        stand("openai", Answer.stream(["Fir", "st"], then="hang"), timeout=LONG) as first,
        stand("anthropic") as second,
    ):

        async def one(run: Any) -> None:
            with run.attempt(first.candidate):
                async for _ in await first.aask(stream=True):
                    pass

        async def main() -> None:
            with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(one(run), SHORT)
                with run.attempt(second.candidate):
                    await second.aask()

        asyncio.run(main())
    span = telemetry.candidates[0]
    assert span["failover.killed_by"] == "caller_timeout"
    assert SECONDS.sub("<s>", span.description) == "openai answered 200 and then went silent; given up after <s>"
    assert seconds(span) == pytest.approx((span.end - span.start) / 1e9, abs=0.06)


# --- retries ----------------------------------------------------------------------------------------------------------


def test_a_retry_that_was_not_answered(telemetry: Telemetry) -> None:
    """It did answer: the request before."""
    slow = Answer.error(429, "Slow down", retry_after=0.0)
    with stand("openai", slow, Answer.hang(), timeout=SHORT, retries=1) as asked:
        told = in_run(asked.candidate, asked.ask)
    assert SECONDS.sub("<s>", told) == "openai answered 429 and then went silent; given up after <s>"
    (span,) = telemetry.candidates
    assert span["failover.wire.statuses"] == ["429", "-"]
    assert span["http.response.status_code"] is None


# --- this process failed ----------------------------------------------------------------------------------------------


def test_an_answer_that_this_process_could_not_read(telemetry: Telemetry) -> None:
    with stand("openai", Answer.raw(200, "no JSON at all", content_type="application/json")) as asked:
        told = in_run(asked.candidate, asked.ask)
    assert told == "openai answered 200, then this process failed (json.decoder.JSONDecodeError)"
    assert said(telemetry) == told


def test_a_request_that_could_not_leave(telemetry: Telemetry) -> None:
    """Something was asked, as far as the transport was told: nothing is said to the contrary."""
    with stand("openai", Answer.ok()) as asked:
        asked.client.api_key = "no\nkey"
        told = in_run(asked.candidate, asked.ask)
        assert not asked.server.log
    assert "nothing was asked" not in told
    assert "this process failed" in told
    assert said(telemetry) == told


def test_nothing_was_asked(telemetry: Telemetry) -> None:
    """Twin: the call failed before the transport was told."""
    with stand("openai", Answer.ok()) as asked:
        told = in_run(asked.candidate, lambda: asked.ask(extra_body={"thing": object()}))
        assert not asked.server.log
    assert told.startswith("nothing was asked of openai: this process failed (")
    assert said(telemetry) == told


# --- a call's span has the call's own ---------------------------------------------------------------------------------


def seconds(span: Exported) -> float:
    found = SECONDS.search(span.description)
    assert found is not None, span.description
    return float(found[1])


@pytest.mark.parametrize("how", ["attempt", "bare", "outside"])
def test_the_seconds_are_those_of_the_span(telemetry: Telemetry, how: str) -> None:
    """The attempt has waited before it asks: its call has not."""
    with stand("openai", Answer.hang(), timeout=SHORT) as asked:
        with suppress(openai.APITimeoutError):
            if how == "outside":
                asked.ask()
            else:
                with failover_run("chat") as run:
                    if how == "bare":
                        asked.ask()
                    else:
                        with run.attempt(asked.candidate):
                            time.sleep(0.5)
                            asked.ask()
    (call,) = telemetry.named(f"chat {MODELS['openai']}")
    for span in (call, *telemetry.candidates):
        assert seconds(span) == pytest.approx((span.end - span.start) / 1e9, abs=0.06)


def test_the_error_is_that_of_the_call(telemetry: Telemetry) -> None:
    """Two calls of one attempt: the second sends nothing, and the first one's answer is not told for it."""
    with stand("openai", Answer.error(429, "Slow down, all of you, at once please")) as asked:
        with failover_run("chat") as run, suppress(Exception), run.attempt(asked.candidate):
            with suppress(openai.RateLimitError):
                asked.ask()
            asked.ask(extra_body={"thing": object()})
    first, second = telemetry.named(f"chat {MODELS['openai']}")
    assert (first.description, first["http.response.status_code"]) == ("Slow down, all of you, at once please", 429)
    assert second.description.startswith("nothing was asked of openai: this process failed (")
    assert second["http.response.status_code"] is None


def test_calls_side_by_side_have_each_their_own(telemetry: Telemetry) -> None:
    """One attempt asks twice at once: the one that hangs is not told to have been answered, nor the other way."""
    refused = Answer.delayed(Answer.error(429, "Slow down, all of you, at once please"), 0.1)
    with stand("openai", refused, Answer.hang(), timeout=1.0) as asked:

        async def main() -> None:
            with failover_run("chat") as run, run.attempt(asked.candidate):
                await asyncio.gather(*(asked.aask(timeout=1.0) for _ in range(2)), return_exceptions=True)

        asyncio.run(main())
    told = {SECONDS.sub("<s>", span.description) for span in telemetry.named(f"chat {MODELS['openai']}")}
    assert told == {"Slow down, all of you, at once please", "no response from openai within <s>"}
