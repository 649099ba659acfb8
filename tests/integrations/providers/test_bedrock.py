"""Bedrock by botocore: one call is one call, its retries inside; its errors are bound to the wire; the host cannot tell."""

# ruff: noqa: SIM117 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import functools
import gc
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api
from opentelemetry.trace import get_current_span

from otel_failover import Candidate, FailoverInstrumentor, failover_run
from otel_failover.integrations.providers.bedrock_shapes import text_in
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support import same
from tests.support.hosts import LoopError, Stand, patience, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Exported, Telemetry

botocore = pytest.importorskip("botocore.session")
exceptions: Any = pytest.importorskip("botocore.exceptions")
Config: Any = pytest.importorskip("botocore.config").Config

MODEL = "anthropic.claude-opus-4-7-v1:0"
ASKED: Any = [{"role": "user", "content": [{"text": "Hello?"}]}]
KEY_ID, SECRET, TOKEN = "AKIAZ7QW3ERT5YUI9OPA", "wJq8vL2mN4xWc7RtYbH3kPs6dFg9hJ1zXcVbNm0Q", "IQoJb3JpZ2luX2VjEJr8vL2m"
TEXT = ["Hel", "lo ", "you"]
RAW = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": []})


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@functools.cache
def session() -> Any:
    """Return a session with keys of its own; the account of whoever runs the tests is left alone."""
    made = botocore.Session()
    made.set_credentials(KEY_ID, SECRET, TOKEN)
    return made


def client_of(provider: LocalProvider, retries: int = 0, service: str = "bedrock-runtime", **options: Any) -> Any:
    config = Config(retries={"total_max_attempts": retries + 1}, **{"read_timeout": 5, **options})
    return session().create_client(service, region_name="us-east-1", endpoint_url=provider.endpoint, config=config)


def converse(client: Any) -> Any:
    return client.converse(modelId=MODEL, messages=ASKED)


def converse_stream(client: Any) -> Any:
    return client.converse_stream(modelId=MODEL, messages=ASKED)["stream"]


def invoke(client: Any) -> Any:
    return client.invoke_model(modelId=MODEL, body=RAW)["body"]


def invoke_stream(client: Any) -> Any:
    return client.invoke_model_with_response_stream(modelId=MODEL, body=RAW)["body"]


def read(stream: Any) -> Any:
    """Read an answer to its end, in the commonest way."""
    if isinstance(stream, dict):
        return stream
    return stream.read() if hasattr(stream, "read") else list(stream)


WAYS = [converse, converse_stream, invoke, invoke_stream]
STREAMS = [converse_stream, invoke_stream]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
every_stream = pytest.mark.parametrize("way", STREAMS, ids=lambda way: way.__name__)


class Bedrock:
    """One candidate with its local provider and its real client."""

    def __init__(self, stack: ExitStack, *answers: Answer, **options: Any) -> None:
        self.server = stack.enter_context(LocalProvider("bedrock", *answers, name="aws.bedrock"))
        self.candidate = Candidate("bedrock", MODEL, self.server.endpoint)
        self.client = client_of(self.server, **options)


def attempted(each: Bedrock, call: Callable[[], Any]) -> Any:
    """Make one declared attempt; return what came, or what was raised."""
    try:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            return call()
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


def only(telemetry: Telemetry) -> Exported:
    (span,) = telemetry.candidates
    return span


def calls_of(telemetry: Telemetry) -> list[Exported]:
    return telemetry.named(f"chat {MODEL}")


# --- the host cannot tell ---------------------------------------------------------------------------------------------

_FRESH = {"host", "authorization", "x-amz-date", "amz-sdk-invocation-id"}


def _told(problem: Exception) -> Any:
    response = getattr(problem, "response", None) or {}
    return (
        type(problem),
        str(problem).partition("http://")[0].partition("(host=")[0],
        response.get("Error"),
        same.frames(problem),
    )


def _observed(provider: LocalProvider, call: Callable[[Any], Any], answer: Answer) -> Any:
    """Return what a host sees of a call, and what the provider saw; ids and signatures are new with every request."""
    provider.program(answer)
    provider.clear()
    try:
        result: Any = call(client_of(provider, retries=1, read_timeout=patience(provider)))
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        result = _told(problem)
    heads = [{name: value for name, value in each.headers.items() if name not in _FRESH} for each in provider.log]
    return result, heads, [(each.method, each.path, each.body, each.status) for each in provider.log]


def _inside(place: Callable[..., Any], call: Callable[[Any], Any], client: Any) -> Any:
    return place(lambda: call(client))


def whole(client: Any) -> Any:
    found = converse(client)
    return type(found), found["output"], found["usage"], sorted(found["ResponseMetadata"])


def streamed(client: Any) -> Any:
    stream = converse_stream(client)
    steps = iter(stream)
    return type(stream), type(steps), steps.__name__, list(steps), list(stream)


def resumed(client: Any) -> Any:
    stream = converse_stream(client)
    first = next(iter(stream))
    return first, [sorted(event) for event in stream]


def closed(client: Any) -> Any:
    stream = converse_stream(client)
    return next(iter(stream)), stream.close()


def invoked(client: Any) -> Any:
    body = invoke(client)
    return type(body), body.read(), body.read(), body.tell()


def invoked_in_pieces(client: Any) -> Any:
    return b"".join(invoke(client).iter_chunks(16)), list(invoke(client).iter_lines()), json.load(invoke(client))


def invoked_streamed(client: Any) -> Any:
    return list(invoke_stream(client))


ANSWERS = {
    "success": Answer.ok("Hello there"),
    "throttled": Answer.bedrock_throttling(),
    "hang": Answer.hang(1),
    "reset": Answer.reset(),
    "page": Answer.raw(503, "<html>down</html>"),
    "event": Answer.stream(2, then="error"),
    "cut": Answer.stream(2, then="cut"),
}
CALLS = [whole, streamed, resumed, closed, invoked, invoked_in_pieces, invoked_streamed]


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_way_of_calling_gives_the_same(
    call: Callable[[Any], Any], answer: Answer, switch_on: Callable[[], Any]
) -> None:
    with LocalProvider("bedrock") as provider:
        without = _observed(provider, call, answer)
        switch_on()
        for place, inside in same.PLACES.items():
            with_us = _observed(provider, functools.partial(_inside, inside, call), answer)
            assert with_us == without, place


# --- one call ---------------------------------------------------------------------------------------------------------


@every_way
def test_a_call_has_one_span(telemetry: Telemetry, stack: ExitStack, way: Callable[[Any], Any]) -> None:
    each = Bedrock(stack, Answer.ok("Hello there"))
    attempted(each, lambda: read(way(each.client)))
    candidate, (call,) = only(telemetry), calls_of(telemetry)
    assert call.parent_id == candidate.span_id
    assert (candidate["candidate.provider"], candidate["candidate.model"]) == ("aws.bedrock", MODEL)
    assert (call["gen_ai.provider.name"], call["gen_ai.request.model"]) == ("aws.bedrock", MODEL)
    assert (candidate["candidate.outcome"], candidate["failover.evidence"]) == ("success", "complete")
    assert candidate["failover.wire.statuses"] == ["200"]
    assert candidate["failover.wire.request_id"] == each.server.log[0].request_id
    assert candidate.verdict == ("verified", None)


def test_the_tokens_of_an_answer_stand_on_its_call(telemetry: Telemetry, stack: ExitStack) -> None:
    each = Bedrock(stack, Answer.ok("Hello there"))
    attempted(each, lambda: converse(each.client))
    (call,) = calls_of(telemetry)
    assert (call["gen_ai.usage.input_tokens"], call["gen_ai.usage.output_tokens"]) == (12, 2)


def test_a_call_by_keywords_is_a_call(telemetry: Telemetry, stack: ExitStack) -> None:
    each = Bedrock(stack, Answer.ok("Hello there"))
    asked = {"modelId": MODEL, "messages": ASKED}
    attempted(each, lambda: each.client._make_api_call(operation_name="Converse", api_params=asked))
    assert len(calls_of(telemetry)) == 1


def test_the_sdks_retries_are_inside_one_call(telemetry: Telemetry, stack: ExitStack) -> None:
    each = Bedrock(stack, Answer.bedrock_throttling(), Answer.bedrock_throttling(), Answer.ok(), retries=2)
    attempted(each, lambda: converse(each.client))
    span = only(telemetry)
    assert len(calls_of(telemetry)) == 1
    assert span["failover.wire.requests"] == len(each.server.log) == 3
    assert span["failover.wire.statuses"] == ["429", "429", "200"]
    assert span["candidate.outcome"] == "success"


REASONS = {
    "ThrottlingException": (429, "rate_limit"),
    "AccessDeniedException": (403, "permission"),
    "UnrecognizedClientException": (403, "auth"),
    "ResourceNotFoundException": (404, "model_not_found"),
    "ValidationException": (400, "invalid_request"),
    "ModelTimeoutException": (408, "timeout"),
    "ModelErrorException": (424, "server_error"),
    "ModelNotReadyException": (429, "overloaded"),
    "ServiceQuotaExceededException": (400, "rate_limit"),
    "InternalServerException": (500, "server_error"),
    "ServiceUnavailableException": (503, "overloaded"),
}


@pytest.mark.parametrize("code", REASONS)
@every_way
def test_an_error_has_its_reason_and_its_code(
    telemetry: Telemetry, stack: ExitStack, way: Callable[[Any], Any], code: str
) -> None:
    """The code stands in a header, and nowhere else."""
    status, reason = REASONS[code]
    each = Bedrock(stack, Answer.error(status, "No, not now.", code=code))
    problem = attempted(each, lambda: way(each.client))
    assert isinstance(problem, exceptions.ClientError)
    span, (call,) = only(telemetry), calls_of(telemetry)
    assert (span["failover.reason.code"], span["failover.error.code"]) == (reason, code)
    assert (span["failover.error.origin"], span["http.response.status_code"]) == ("response", status)
    assert span["failover.wire.request_id"] == problem.response["ResponseMetadata"]["RequestId"]
    assert (span.status, span.description) == ("ERROR", "No, not now.")
    assert (span["failover.evidence"], span.verdict) == ("complete", ("verified", None))
    assert (call.status, call["http.response.status_code"]) == ("ERROR", status)
    assert call["error.type"] == f"{type(problem).__module__}.{type(problem).__qualname__}"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer.bedrock_not_found(), "model_not_found"),
        (Answer.error(400, "Input is too long for requested model."), "context_overflow"),
        (Answer.bedrock_no_access(), "permission"),
        (Answer.bedrock_bad_token(), "auth"),
    ],
    ids=lambda value: str(getattr(value, "message", value)),
)
def test_the_text_decides_where_the_code_says_little(
    telemetry: Telemetry, stack: ExitStack, answer: Answer, reason: str
) -> None:
    each = Bedrock(stack, answer)
    attempted(each, lambda: converse(each.client))
    assert only(telemetry)["failover.reason.code"] == reason


@pytest.mark.parametrize(
    ("answer", "reason", "kind"), [(Answer.hang(), "timeout", "read"), (Answer.reset(), "connection", None)]
)
@every_way
def test_what_gets_no_answer_is_the_transports(
    telemetry: Telemetry, stack: ExitStack, way: Callable[[Any], Any], answer: Answer, reason: str, kind: str | None
) -> None:
    each = Bedrock(stack, answer, read_timeout=0.2)
    assert isinstance(attempted(each, lambda: way(each.client)), exceptions.HTTPClientError)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.origin"]) == (reason, "transport")
    assert span["failover.timeout.kind"] == kind
    assert span["failover.timeout.configured"] == (0.2 if kind else None)
    assert (span["failover.wire.statuses"], span["http.response.status_code"]) == (["-"], None)
    assert span.verdict == ("verified", None)


def test_a_refused_connection_is_the_transports(telemetry: Telemetry, stack: ExitStack) -> None:
    each = Bedrock(stack)
    each.server.close()
    assert isinstance(attempted(each, lambda: converse(each.client)), exceptions.EndpointConnectionError)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.origin"]) == ("connection", "transport")
    assert span.verdict == ("verified", None)


def test_a_call_that_botocore_will_not_send_is_this_processs(telemetry: Telemetry, stack: ExitStack) -> None:
    each = Bedrock(stack)
    problem = attempted(each, lambda: each.client.converse(modelId=MODEL, messages="Hello?"))
    assert isinstance(problem, exceptions.ParamValidationError)
    span = only(telemetry)
    assert (span["failover.error.origin"], span["failover.evidence"]) == ("client", "complete")
    assert (span["failover.wire.requests"], each.server.log) == (0, [])


def test_an_answer_without_text_is_seen_to_be_empty(telemetry: Telemetry, stack: ExitStack) -> None:
    each = Bedrock(stack, Answer.ok(""))
    attempted(each, lambda: converse(each.client))
    assert telemetry.run["failover.findings"] == ["empty_success"]


# --- streams ----------------------------------------------------------------------------------------------------------


@every_stream
def test_nothing_is_current_while_the_host_has_an_event(
    telemetry: Telemetry, stack: ExitStack, way: Callable[[Any], Any]
) -> None:
    each = Bedrock(stack, Answer.stream(TEXT))
    before = context_api.get_current()
    with failover_run("chat", chain=[each.candidate]):
        stream = way(each.client)
    seen = []
    for _ in stream:
        assert context_api.get_current() == before
        assert not get_current_span().is_recording()
        seen.append(telemetry.candidates)
    assert not any(seen)
    assert only(telemetry)["candidate.outcome"] == "success"
    assert telemetry.run["failover.outcome"] == "primary"


@every_stream
def test_an_exception_event_after_output_is_partial(
    telemetry: Telemetry, stack: ExitStack, way: Callable[[Any], Any]
) -> None:
    each = Bedrock(stack, Answer.stream(TEXT, then="error", message="The model broke off."))
    problem = attempted(each, lambda: read(way(each.client)))
    assert isinstance(problem, exceptions.EventStreamError)
    span = only(telemetry)
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("partial", "server_error")
    assert (span["failover.error.code"], span["http.response.status_code"]) == ("modelStreamErrorException", 200)
    assert (span.status, span.description) == ("ERROR", "The model broke off.")
    assert (span["failover.evidence"], span.verdict) == ("complete", ("verified", None))


@every_stream
def test_throttling_before_output_is_no_partial_answer(
    telemetry: Telemetry, stack: ExitStack, way: Callable[[Any], Any]
) -> None:
    each = Bedrock(stack, Answer.stream([], then="error", message="Too many tokens.", code="ThrottlingException"))
    attempted(each, lambda: read(way(each.client)))
    span = only(telemetry)
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("error", "rate_limit")
    assert span["failover.error.code"] == "throttlingException"
    assert span.verdict == ("verified", None)


@pytest.mark.parametrize(("then", "reason"), [("cut", "connection"), ("truncate", "connection"), ("hang", "timeout")])
@every_stream
def test_a_stream_that_breaks_off_is_partial(
    telemetry: Telemetry, stack: ExitStack, way: Callable[[Any], Any], then: Any, reason: str
) -> None:
    each = Bedrock(stack, Answer.stream(TEXT, then=then), read_timeout=0.2)
    assert isinstance(attempted(each, lambda: read(way(each.client))), Exception)
    span = only(telemetry)
    assert span["candidate.outcome"] == "partial"
    assert span["failover.reason.code"] in (reason, "partial_stream")
    assert span.verdict == ("verified", None)


@pytest.mark.parametrize("end", ["closed", "dropped"])
@pytest.mark.parametrize("way", [converse_stream, invoke, invoke_stream], ids=lambda way: way.__name__)
def test_a_consumer_that_stops_early_ends_the_attempt(
    telemetry: Telemetry, stack: ExitStack, way: Callable[[Any], Any], end: str
) -> None:
    each = Bedrock(stack, Answer.stream(TEXT))
    with failover_run("chat", chain=[each.candidate]):
        stream = way(each.client)
    if hasattr(stream, "read"):
        stream.read(4)
    else:
        next(iter(stream))
    assert telemetry.candidates == []
    if end == "closed":
        stream.close()
    del stream
    gc.collect()
    with failover_run("chat", chain=[each.candidate]):  # what was dropped is ended by the next step of anybody
        converse(each.client)
    assert telemetry.candidates[0]["candidate.outcome"] == "success"
    assert telemetry.candidates[0].verdict == ("verified", None)


def test_an_invoked_model_is_done_when_its_body_has_been_read(telemetry: Telemetry, stack: ExitStack) -> None:
    each = Bedrock(stack, Answer.ok("Hello there"))
    with failover_run("chat", chain=[each.candidate]):
        body = invoke(each.client)
    assert telemetry.candidates == []
    assert b"Hello there" in body.read()
    assert only(telemetry)["candidate.outcome"] == "success"


def test_a_body_that_breaks_off_is_the_transports(telemetry: Telemetry, stack: ExitStack) -> None:
    head = {"content-length": "99"}
    each = Bedrock(
        stack, Answer.raw(200, b'{"content": [', content_type="application/json", headers=head), read_timeout=0.2
    )
    problem = attempted(each, lambda: invoke(each.client).read())
    assert isinstance(problem, exceptions.ReadTimeoutError)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.origin"]) == ("timeout", "transport")
    assert span.verdict == ("verified", None)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}}, "Hi"),
        ({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{"}}, " "),
        ({"type": "message_start", "message": {}}, ""),
        ({"choices": [{"delta": {"content": "Hi"}}]}, "Hi"),
        ({"choices": [{"delta": {"role": "assistant"}}]}, ""),
        ({"outputs": [{"text": "Hi"}]}, "Hi"),
        ({"generation": "Hi", "stop_reason": None}, "Hi"),
        ({"outputText": "Hi", "index": 0}, "Hi"),
        ({"contentBlockDelta": {"delta": {"text": "Hi"}}}, "Hi"),
        ({"messageStart": {"role": "assistant"}}, ""),
        ({"words": "Hi"}, '{"words": "Hi"}'),
    ],
)
def test_the_text_of_a_models_own_event_is_found(document: dict[str, Any], text: str) -> None:
    assert text_in({"chunk": {"bytes": json.dumps(document).encode()}}) == text


# --- the chain: bedrock, openai, anthropic ----------------------------------------------------------------------------


def chained(stack: ExitStack, first: Answer, second: Answer, third: Answer) -> tuple[Bedrock, Stand, Stand]:
    openai = stack.enter_context(stand("openai", second, timeout=0.3))
    return Bedrock(stack, first), openai, stack.enter_context(stand("anthropic", third, timeout=0.3))


def test_a_chain_by_hand_says_who_failed_how(telemetry: Telemetry, stack: ExitStack) -> None:
    bedrock, openai, anthropic = chained(stack, Answer.bedrock_throttling(), Answer.openai_quota(), Answer.ok())
    asks: list[tuple[Candidate, Callable[[], Any]]] = [
        (bedrock.candidate, lambda: converse(bedrock.client)),
        (openai.candidate, openai.ask),
        (anthropic.candidate, anthropic.ask),
    ]
    with failover_run("chat", chain=[candidate for candidate, _ in asks]) as run:
        for candidate, ask in asks:
            try:
                with run.attempt(candidate):
                    ask()
            except Exception:  # noqa: BLE001, S112 - a loop as people write it
                continue
    assert [span.name for span in telemetry.candidates] == [
        "candidate aws.bedrock", "candidate openai", "candidate anthropic",
    ]  # fmt: skip
    assert [span["failover.reason.code"] for span in telemetry.candidates] == ["rate_limit", "billing", None]
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["error", "error", "success"]
    assert {span.verdict for span in telemetry.candidates} == {("verified", None)}
    assert (telemetry.run["failover.outcome"], telemetry.run["candidate.provider"]) == ("fallback", "anthropic")


def test_bare_calls_are_the_attempts(telemetry: Telemetry, stack: ExitStack) -> None:
    bedrock, openai, _ = chained(stack, Answer.bedrock_no_access(), Answer.ok(), Answer.ok())
    with failover_run("chat", chain=[bedrock.candidate, openai.candidate]):
        with pytest.raises(exceptions.ClientError):
            converse(bedrock.client)
        openai.ask()
    assert [span["failover.reason.code"] for span in telemetry.candidates] == ["permission", None]
    assert telemetry.run["failover.outcome"] == "fallback"


@pytest.mark.parametrize("bound_by", ["object", "request_id", "text"])
def test_a_stolen_error_is_found(telemetry: Telemetry, stack: ExitStack, bound_by: str) -> None:
    """Bedrock's throttling, reported again for a candidate that timed out."""
    bedrock, openai, _ = chained(stack, Answer.bedrock_throttling(), Answer.hang(), Answer.ok())
    with failover_run("chat", chain=[bedrock.candidate, openai.candidate]) as run:
        with pytest.raises(exceptions.ClientError) as stale, run.attempt(bedrock.candidate):
            converse(bedrock.client)
        issued = stale.value.response["ResponseMetadata"]["RequestId"]
        again = {
            "object": stale.value,
            "request_id": LoopError("it failed", request_id=issued),
            "text": LoopError(str(stale.value)),
        }[bound_by]
        with pytest.raises(type(again)), run.attempt(openai.candidate):
            try:
                openai.ask()
            except Exception:  # noqa: BLE001 - a loop as people write it
                raise again from None
    honest, stolen = telemetry.candidates
    assert honest.verdict == ("verified", None)
    assert stolen.verdict[0] == "mismatch"
    assert stolen["failover.attribution.source.provider"] == "aws.bedrock"
    assert stolen["failover.attribution.bound_by"] == bound_by
    assert stolen["failover.reason.code"] == "timeout"


def test_another_providers_error_on_bedrocks_span_is_found(telemetry: Telemetry, stack: ExitStack) -> None:
    bedrock, openai, _ = chained(stack, Answer.hang(), Answer.openai_quota(), Answer.ok())
    client = client_of(bedrock.server, read_timeout=0.2)
    with failover_run("chat", chain=[openai.candidate, bedrock.candidate]) as run:
        with pytest.raises(Exception, match="quota") as stale, run.attempt(openai.candidate):
            openai.ask()
        with pytest.raises(LoopError), run.attempt(bedrock.candidate):
            try:
                converse(client)
            except exceptions.ReadTimeoutError:
                raise LoopError(str(stale.value)) from None
    span = telemetry.candidates[1]
    assert span.verdict == ("mismatch", "stale_error")
    assert (span["failover.attribution.source.provider"], span["failover.reason.code"]) == ("openai", "timeout")


def test_an_error_raised_in_a_thread_without_context_is_bound_by_its_request_id(
    telemetry: Telemetry, stack: ExitStack
) -> None:
    """`ClientError` carries no response; without the bond, the attempt would own neither send nor error."""
    each = Bedrock(stack, Answer.bedrock_throttling())
    pool = stack.enter_context(ThreadPoolExecutor(1))
    problem = attempted(each, lambda: pool.submit(converse, each.client).result())
    assert isinstance(problem, exceptions.ClientError)
    span = only(telemetry)
    assert (span["http.response.status_code"], span["failover.reason.code"]) == (429, "rate_limit")
    assert span["failover.wire.requests"] == 1
    assert span.verdict == ("verified", None)


def test_concurrent_runs_never_cross(telemetry: Telemetry, stack: ExitStack) -> None:
    each = [Bedrock(stack, answer) for answer in (Answer.ok(), Answer.bedrock_throttling()) * 4]
    start = threading.Barrier(len(each))

    def serve(one: Bedrock) -> None:
        start.wait()
        attempted(one, lambda: read(converse_stream(one.client)))

    with ThreadPoolExecutor(len(each)) as pool:
        list(pool.map(serve, each))
    assert sorted(span["candidate.outcome"] for span in telemetry.candidates) == ["error"] * 4 + ["success"] * 4
    assert {span.verdict for span in telemetry.candidates} == {("verified", None)}
    assert {span["failover.wire.requests"] for span in telemetry.candidates} == {1}
    by_endpoint = {one.server.endpoint: one.server.log[0].request_id for one in each}
    for span in telemetry.candidates:
        assert span["failover.wire.request_id"] == by_endpoint[span["candidate.endpoint"]]


# --- what is no inference, and other services -------------------------------------------------------------------------


def test_what_is_no_inference_settles_nothing(telemetry: Telemetry, stack: ExitStack) -> None:
    each = Bedrock(stack, Answer.raw(200, "{}", content_type="application/json"), Answer.ok())

    def ask() -> None:
        each.client.apply_guardrail(guardrailIdentifier="g", guardrailVersion="1", source="INPUT", content=[])
        converse(each.client)

    attempted(each, ask)
    span = only(telemetry)
    assert len(calls_of(telemetry)) == 1
    assert (span["failover.wire.statuses"], span["candidate.outcome"]) == (["200"], "success")


def test_another_service_inside_an_attempt_is_an_aside(telemetry: Telemetry, stack: ExitStack) -> None:
    """A queue read before the call: its error is not the candidate's."""
    each, other = Bedrock(stack, Answer.ok()), stack.enter_context(LocalProvider("bedrock", Answer.raw(500, "{}")))
    queues = client_of(other, service="sqs")

    def ask() -> None:
        with pytest.raises(exceptions.ClientError):
            queues.list_queues()
        converse(each.client)

    attempted(each, ask)
    span = only(telemetry)
    assert (span["failover.wire.statuses"], span["candidate.outcome"]) == (["200"], "success")
    assert span.verdict == ("verified", None)


def test_other_services_make_no_spans(telemetry: Telemetry, stack: ExitStack) -> None:
    other = stack.enter_context(LocalProvider("bedrock", Answer.raw(200, "{}", content_type="application/json")))
    client_of(other, service="sqs").list_queues()
    assert telemetry.spans == []


# --- beside opentelemetry-instrumentation-botocore --------------------------------------------------------------------


@pytest.fixture(params=["below us", "above us"])
def beside(request: pytest.FixtureRequest, telemetry: Telemetry) -> Iterator[Telemetry]:
    """Instrument botocore beside us, in either order; the last one put on is taken off first, as theirs needs it."""
    theirs: Any = pytest.importorskip("opentelemetry.instrumentation.botocore").BotocoreInstrumentor()
    ours = FailoverInstrumentor()
    if request.param == "below us":
        ours.uninstrument()
    theirs.instrument(tracer_provider=telemetry.provider)
    if request.param == "below us":
        ours.instrument(tracer_provider=telemetry.provider)
    yield telemetry
    if request.param == "below us":
        ours.uninstrument()
    theirs.uninstrument()


@pytest.mark.parametrize(
    "answer", [Answer.ok("Hello"), Answer.bedrock_throttling(), Answer.stream(TEXT, then="error")], ids=lambda a: a.kind
)
@every_way
def test_another_instrumentation_makes_the_calls_span(
    beside: Telemetry, stack: ExitStack, way: Callable[[Any], Any], answer: Answer
) -> None:
    each = Bedrock(stack, answer)
    attempted(each, lambda: read(way(each.client)))
    candidate, made = only(beside), [span for span in beside.spans if "botocore" in span.scope]
    assert len(made) == 1
    assert made[0]["candidate.provider"] == "aws.bedrock"
    assert not [span for span in calls_of(beside) if "botocore" not in span.scope]
    assert candidate["failover.wire.requests"] == 1
    assert candidate.verdict == ("verified", None)
    assert beside.markers == []


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_aws_credentials_never_leave(telemetry: Telemetry, stack: ExitStack) -> None:
    """A wrong signature is answered with what was signed, session token and all."""
    telemetry.planted |= {KEY_ID, SECRET, TOKEN}
    said = (
        "The request signature we calculated does not match the signature you provided. The Canonical String for this "
        f"request should have been 'POST /model x-amz-security-token:{TOKEN} ' Credential={KEY_ID}/20261121"
    )
    each = Bedrock(stack, Answer.error(403, said, code="InvalidSignatureException"))
    with failover_run("chat", chain=[each.candidate]) as run, pytest.raises(LoopError), run.attempt(each.candidate):
        try:
            converse(each.client)
        except exceptions.ClientError as problem:
            signature = each.server.log[0].headers["authorization"].rpartition("Signature=")[2]
            telemetry.planted.add(signature)
            raise LoopError(f"{problem} with {TOKEN}, {KEY_ID} and {signature}") from problem
    span = only(telemetry)
    assert span["failover.reason.code"] == "auth"
    assert "signature we calculated does not match" in span.description


def test_two_accounts_are_two_candidates(telemetry: Telemetry, stack: ExitStack) -> None:
    """Same model, same endpoint, other key: told apart in memory where no chain is declared."""
    each = Bedrock(stack, Answer.bedrock_throttling(), Answer.ok())
    other = botocore.Session()
    other.set_credentials("AKIAY6TW3ERT5YUI9OPB", SECRET)
    second = other.create_client("bedrock-runtime", region_name="us-east-1", endpoint_url=each.server.endpoint)
    with failover_run("chat"):
        with pytest.raises(exceptions.ClientError):
            converse(each.client)
        converse(second)
    assert [span["candidate.index"] for span in telemetry.candidates] == [0, 1]
