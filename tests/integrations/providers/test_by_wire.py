"""SDKs without an adapter, and plain HTTP: each question that they send is a call, seen as an adapter's would be.

Each row of `sdks` is asked sync and async, whole and streamed, outside any run, in a run and in an attempt. The host
gets what it gets without us; and the spans have who was asked, what came of it, and what the answer says of itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import json
import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from packaging.version import Version

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.integrations.providers.sdks import SDKS, Sdk
from tests.support.hosts import LONG, stand
from tests.support.same import masked, seen, shown, wait_until_heard

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from otel_failover.testing.providers import Served
    from tests.support.spans import Exported, Telemetry

LIMITED: Final = "This candidate of all has had too many requests in the last minute"
BROKEN: Final = "This candidate of all is out of order until the evening"
GAVE_WAY: Final = "This candidate of all gave way in the middle of its answer"
SHORT: Final = 0.1
ONE, OTHER = Candidate("openai", "gpt-5.5"), Candidate("anthropic", "claude-opus-4-7")


class Case(NamedTuple):
    """One question, and what comes of it.

    Args:
        answer: Of the provider.
        streamed: It is asked for a stream.
        outcome, reason, status: What its attempt says.
        leaves: The host takes one chunk, and closes the stream.
        patience: Of the host, in seconds.
    """

    answer: Answer
    streamed: bool
    outcome: str
    reason: str | None
    status: int | None
    leaves: bool = False
    patience: float = LONG

    @property
    def has_failed(self) -> bool:
        """Whether nobody was served."""
        return self.outcome != "success"

    @property
    def is_late_error(self) -> bool:
        """Whether an error came in the middle of the stream."""
        return self.answer.then == "error"


_LATE: Final = Answer.stream(2, then="hang", hang_seconds=30)
CASES: Final = {
    "whole": Case(Answer.ok("fine day"), False, "success", None, 200),
    "whole 429": Case(Answer.error(429, LIMITED), False, "error", "rate_limit", 429),
    "whole timeout": Case(Answer.hang(2), False, "error", "timeout", None, patience=SHORT),
    "stream": Case(Answer.stream(2), True, "success", None, 200),
    "stream 429": Case(Answer.error(429, LIMITED), True, "error", "rate_limit", 429),
    "stream timeout": Case(Answer.hang(2), True, "error", "timeout", None, patience=SHORT),
    "error event": Case(Answer.stream(2, then="error", message=GAVE_WAY), True, "partial", None, 200),
    "cut": Case(Answer.stream(2, then="cut"), True, "partial", "partial_stream", 200),
    "truncated": Case(Answer.stream(2, then="truncate"), True, "partial", "partial_stream", 200),
    "late": Case(_LATE, True, "partial", "timeout", 200, patience=SHORT),
    "left": Case(Answer.stream(4, drip=0.01), True, "success", None, 200, leaves=True),
}
REFUSED: Final = Case(Answer.error(500, BROKEN), False, "error", "server_error", 500)
"""What a theft stands beside; else it is seen as a 429 is."""
TELLS_USAGE: Final = ("mistral", "cohere", "ollama", "openrouter", "dashscope", "bedrock")
"""Who says in a stream how much there was, without being asked to."""
SLOW: Final = ("huggingface_hub", "timeout")
SAYS_LITTLE: Final = ("mistralai", "zai", "zhipuai")
CANNOT_READ: Final = ("ResponseNotRead", "sync iterator on an async stream", "argument of type 'coroutine'")
"""What old SDKs raise that fail at reading a refusal: mistralai 1.0, ollama 0.2 and dashscope 1.20, the last two async."""
CANNOT_CLOSE: Final = {"cohere": "6"}
"""Releases since which a stream can be closed: a bare `except` around a `yield` took `close` for an error to pass over,
so that `close` raised, and the stream went on until its client was closed below it."""
each_sdk = pytest.mark.parametrize("sdk", SDKS.values(), ids=SDKS)
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
each_way = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


# --- how a host asks --------------------------------------------------------------------------------------------------


def show(reply: Any) -> Any:
    """Return a result as a host would look at it; DashScope's raise KeyError for what they do not have."""
    return masked(reply) if type(reply).__module__.startswith("dashscope.") else shown(reply)


def ask(sdk: Sdk, at: LocalProvider, case: Case, got: list[Any], *, asynchronous: bool) -> None:
    """Ask once, as a host does; what it gets is put into `got`, what is raised leaves."""
    if asynchronous:
        _run(_aask(sdk, at, case, got))
        return
    client = sdk.opened(at, case.patience)
    with client if hasattr(client, "__exit__") else contextlib.nullcontext():
        reply = sdk.ask(client, sdk.model, case.streamed)
        if not case.streamed:
            got.append(show(reply))
            return
        for chunk in reply:
            got.append(show(chunk))
            if case.leaves:
                break
        if case.leaves:
            _close_now(reply)


def _run(asked: Coroutine[Any, Any, None]) -> None:
    """Do what `asyncio.run` does but for signals: together 1.3's errors have no repr, and it cannot put its own off."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(asked)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _close_now(reply: Any) -> None:
    if hasattr(reply, "close"):
        reply.close()
    elif hasattr(reply, "__exit__"):
        reply.__exit__(None, None, None)
    else:  # Z.ai's can be closed below alone
        reply.response.close()


async def _aask(sdk: Sdk, at: LocalProvider, case: Case, got: list[Any]) -> None:
    client = sdk.opened(at, case.patience, asynchronous=True)
    assert sdk.aask is not None
    async with client if hasattr(client, "__aexit__") else contextlib.AsyncExitStack():
        reply = sdk.aask(client, sdk.model, case.streamed)
        if inspect.isawaitable(reply):
            reply = await reply
        if not case.streamed:
            got.append(show(reply))
            return
        async for chunk in reply:
            got.append(show(chunk))
            if case.leaves:
                break
        if case.leaves:
            await _close(reply)


async def _close(reply: Any) -> None:
    for name in ("aclose", "close"):
        if hasattr(reply, name):
            closed = getattr(reply, name)()
            if inspect.isawaitable(closed):
                await closed
            return
    await reply.__aexit__(None, None, None)


def observed(place: Callable[..., Any], at: LocalProvider, call: Callable[[list[Any]], None]) -> dict[str, Any]:
    """Return all that a host can see of a call in a place."""
    at.clear()
    got: list[Any] = []
    raised = None
    try:
        place(functools.partial(call, got), at)
    except Exception as problem:
        raised = seen(problem)
        wait_until_heard(at)
    sent = [(each.method, each.path, _unsigned(each.headers), each.body) for each in at.log]
    return {"got": got, "raised": _named(raised), "sent": sent}


def _unsigned(headers: dict[str, str]) -> str:
    """Return headers without what is new with every request."""
    return masked(re.sub(r"\d{8}T\d{6}Z|Signature=\w+", "*", str(sorted(headers.items()))))


def _named(raised: Any) -> Any:
    """Return what was raised with its class's name: each of botocore's clients makes classes of its own."""
    if raised is None:
        return None
    kind = f"{raised['type'].__module__}.{raised['type'].__qualname__}"
    return {**raised, "type": kind, "cause": _named(raised["cause"]), "context": _named(raised["context"])}


def outside(call: Callable[[], None], at: LocalProvider) -> None:
    call()


def in_a_run(candidate: Candidate) -> Callable[..., None]:
    def inside(call: Callable[[], None], at: LocalProvider) -> None:
        with failover_run("chat", chain=[candidate]):
            call()

    return inside


def in_an_attempt(candidate: Candidate) -> Callable[..., None]:
    def inside(call: Callable[[], None], at: LocalProvider) -> None:
        with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
            call()

    return inside


@pytest.fixture
def known(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the local host as an application names a host of its own: it is the row's provider's."""
    monkeypatch.setenv("OTEL_FAILOVER_PROVIDER_ALIASES", json.dumps({"127.0.0.1": sdk.provider}))


# --- what is seen -----------------------------------------------------------------------------------------------------


@each_sdk
@each_way
@each_case
@pytest.mark.usefixtures("known")
def test_it_is_seen_and_the_host_sees_nothing_of_it(
    sdk: Sdk, asynchronous: bool, case: Case, switch_on: Callable[[], Telemetry]
) -> None:
    skip_what_cannot_be_closed(sdk, case)
    hangs = case.patience == SHORT
    if sdk.tries_again and hangs:
        pytest.skip("it asks again by itself, and nothing tells that from another question")
    with LocalProvider(sdk.kind, default=case.answer) as at:
        candidate = Candidate(sdk.provider, sdk.model, at.endpoint)

        def call(got: list[Any]) -> None:
            ask(sdk, at, case, got, asynchronous=asynchronous)

        without = observed(outside, at, call)
        while case.answer.then == "hang" and not without["got"] and case.patience < 1:
            case = case._replace(patience=case.patience * 5)  # a busy machine has sent nothing by then
            without = observed(outside, at, call)
        telemetry = switch_on()
        # In a run alone it is an attempt as in an attempt: where each one waits, it is not waited for twice.
        for place in (outside, *(() if hangs else (in_a_run(candidate),)), in_an_attempt(candidate)):
            found = observed(place, at, call)
            if hangs and found != without:  # the same, of one place
                telemetry.clear()
                found = observed(place, at, call)
            assert found == without
            span = told(telemetry, place is outside, case)
            assert_facts(span, sdk, case, at.log, is_read=is_read(sdk, case, without["raised"]))
            telemetry.clear()


def told(telemetry: Telemetry, is_outside: bool, case: Case) -> tuple[Exported, Exported]:
    """Return the span that says what came of a call, and the call's own; nothing else was made."""
    if not any(span["gen_ai.operation.name"] for span in telemetry.spans):
        gc.collect()  # some SDKs leave a stream open that has failed: it ends with the garbage
    assert telemetry.markers == []
    (call,) = [span for span in telemetry.spans if span["gen_ai.operation.name"]]
    if is_outside:
        assert telemetry.spans == [call]
        return call, call
    (attempt,) = telemetry.candidates
    assert call.parent_id == attempt.span_id
    assert telemetry.run["failover.outcome"] == ("exhausted" if case.has_failed else "primary")
    assert len(telemetry.spans) == 3
    return attempt, call


def is_read(sdk: Sdk, case: Case, raised: Any) -> bool:
    """Whether the host reads what it is answered: some old SDKs fail at that."""
    if case.answer.kind != "error" or any(words in str(raised) for words in CANNOT_READ):
        return case.answer.kind != "error"
    return sdk.unread != "all" and not (sdk.unread and case.streamed)


def assert_facts(
    spans: tuple[Exported, Exported], sdk: Sdk, case: Case, log: list[Served], *, is_read: bool = True
) -> None:
    """Compare what the spans say with what the provider did."""
    told_by, call = spans
    for span in spans:
        assert (span["candidate.provider"], span["candidate.model"]) == (sdk.provider, sdk.model)
    operation = "text_completion" if "generate" in log[-1].path or log[-1].path == "/" else "chat"
    assert (call.name, call["gen_ai.operation.name"]) == (f"{operation} {sdk.model}", operation)
    assert call["gen_ai.provider.name"] == sdk.provider
    assert told_by["candidate.outcome"] == case.outcome
    assert told_by["failover.wire.requests"] == len(log)
    assert told_by["http.response.status_code"] == case.status
    assert told_by.status == ("ERROR" if case.has_failed else "UNSET")
    assert told_by["failover.reason.code"] in reasons_of(sdk, case)
    if not is_read:
        assert (told_by["failover.evidence"], told_by["failover.evidence_gap"]) == ("partial", "body_not_seen")
        assert told_by.verdict in (("unverified", "evidence_incomplete"), ("verified", None))
        return
    assert (told_by["failover.evidence"], told_by["failover.evidence_gap"]) == ("complete", None)
    # Some SDKs say of an error event only that it was none of what they had expected, and Hugging Face's of a timeout
    # only which URL was slow: no provider said that.
    says_little = sdk.module in SAYS_LITTLE if case.is_late_error else (sdk.module, case.reason) == SLOW
    is_unbound = says_little and told_by is not call and told_by.verdict[1]
    assert told_by.verdict == (("unverified", "nothing_bound") if is_unbound else ("verified", None))
    if case.answer.message and sdk.model != "command-r":  # Cohere's first version has no words in a stream
        assert case.answer.message in told_by.description
    if not case.has_failed:
        assert_answer(call, sdk, case, log[-1])


def reasons_of(sdk: Sdk, case: Case) -> tuple[str | None, ...]:
    """Return what a reason may be: a status is clear, and codes are the provider's own."""
    if case.is_late_error:
        return "server_error", "overloaded", "partial_stream"
    return ("overloaded",) if case.status == 429 and sdk.kind == "tgi" else (case.reason,)


def assert_answer(call: Exported, sdk: Sdk, case: Case, served: Served) -> None:
    """Compare what a call's span says of an answer with what the answer said of itself."""
    assert call["gen_ai.response.id"] == (None if "/converse" in served.path else served.response_id)
    if sdk.has_adapter and case.streamed:
        return
    assert call["gen_ai.response.model"] == served.response_model
    if case.leaves:
        return
    tells = not case.streamed or sdk.kind in TELLS_USAGE or (sdk.kind == "tgi" and served.path == "/")
    told = (call["gen_ai.usage.input_tokens"], call["gen_ai.usage.output_tokens"])
    asked = None if served.path == "/" and not case.streamed else 12  # TGI's whole answers do not say
    assert told == ((asked, 2) if tells else (None, None))


def skip_what_cannot_be_closed(sdk: Sdk, case: Case) -> None:
    """Leave out what an old release cannot do: a host that leaves by `break` alone is told as any other."""
    if case.leaves and sdk.module in CANNOT_CLOSE:
        pytest.importorskip(sdk.module)
        if Version(version(sdk.module)) < Version(CANNOT_CLOSE[sdk.module]):
            pytest.skip("its streams swallow what closes them")


# --- theft, and its honest twin ---------------------------------------------------------------------------------------


@each_sdk
@each_way
@pytest.mark.usefixtures("known")
def test_anothers_error_told_for_it_is_a_mismatch_and_its_own_is_none(
    sdk: Sdk, asynchronous: bool, telemetry: Telemetry
) -> None:
    case = REFUSED
    raised: list[str] = []
    with stand("openai", Answer.openai_quota()) as first, LocalProvider(sdk.kind, default=case.answer) as at:
        candidate = Candidate(sdk.provider, sdk.model, at.endpoint)
        for words, verdict in ((None, ("mismatch", "stale_error")), (BROKEN, ("verified", None))):
            with failover_run(chain=[first.candidate, candidate]) as run:
                with pytest.raises(Exception, match="quota") as stale, run.attempt(first.candidate):
                    first.ask()
                with pytest.raises(RuntimeError), run.attempt(candidate):
                    try:
                        ask(sdk, at, case, [], asynchronous=asynchronous)
                    except Exception as problem:
                        raised.append(f"{type(problem).__name__} {problem}")  # together 1.3 has no repr
                    raise RuntimeError(f"all is lost: {words or stale.value}")
            own = telemetry.candidates[1]
            assert (own["candidate.outcome"], own["http.response.status_code"]) == ("error", 500)
            # An own body that nobody has read may hold the words: nothing is said of the theft, nor of its honest twin.
            is_seen = is_read(sdk, case, raised)
            assert own.verdict == (verdict if is_seen else ("unverified", "evidence_incomplete"))
            assert len(telemetry.markers) == (own.verdict[0] == "mismatch")
            telemetry.clear()
