"""botocore as a transport: what its clients send is evidence, whatever they are clients of, and nothing is read early."""

# ruff: noqa: SIM117 - how run, attempt and call are nested is what is tested
from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import LoopError, by_name, under_way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Exported, Telemetry

httpsession: Any = pytest.importorskip("botocore.httpsession")
AWSRequest: Any = pytest.importorskip("botocore.awsrequest").AWSRequest
exceptions: Any = pytest.importorskip("botocore.exceptions")
PATH = "/model/m/converse"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def request_to(provider: LocalProvider, endpoint: str = "", token: str = "", *, later: bool = False) -> Any:
    headers = {"X-Amz-Security-Token": token} if token else {}
    prepared = AWSRequest(
        "POST", (endpoint or provider.endpoint) + PATH, data=b'{"messages": []}', headers=headers
    ).prepare()
    prepared.stream_output = later
    return prepared


def attempted(provider: LocalProvider, request: Any, **options: Any) -> Any:
    """Send one request by hand inside a declared attempt; return what came, or what was raised."""
    candidate = Candidate("bedrock", "m", provider.endpoint)
    try:
        with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
            response = httpsession.URLLib3Session(**options).send(request)
            if response.status_code >= 400:
                raise LoopError("it failed", status_code=response.status_code)
            return response
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


def only(telemetry: Telemetry) -> Exported:
    (span,) = telemetry.candidates
    return span


def test_an_answer_is_evidence(telemetry: Telemetry, stack: ExitStack) -> None:
    provider = stack.enter_context(LocalProvider("bedrock", Answer.bedrock_throttling()))
    attempted(provider, request_to(provider))
    span = only(telemetry)
    assert (span["http.response.status_code"], span["failover.error.code"]) == (429, "ThrottlingException")
    assert (span["failover.evidence"], span["failover.wire.request_id"]) == ("complete", provider.log[0].request_id)
    assert span.verdict[0] != "mismatch"


def test_a_body_that_is_still_to_come_is_left_to_the_host(telemetry: Telemetry, stack: ExitStack) -> None:
    provider = stack.enter_context(LocalProvider("bedrock", Answer.ok("Hello")))
    response = attempted(provider, request_to(provider, later=True))
    assert response._content is None
    assert b"Hello" in response.content
    assert only(telemetry)["candidate.outcome"] == "success"


def test_an_error_whose_body_nobody_has_read_was_not_seen(telemetry: Telemetry, stack: ExitStack) -> None:
    provider = stack.enter_context(LocalProvider("bedrock", Answer.bedrock_throttling()))
    attempted(provider, request_to(provider, later=True))
    span = only(telemetry)
    assert (span["failover.evidence"], span["failover.evidence_gap"]) == ("partial", "body_not_seen")
    assert (span["http.response.status_code"], span["failover.reason.code"]) == (429, "rate_limit")


@pytest.mark.parametrize("timeout", [0.2, (3, 0.2)], ids=["one number", "a pair"])
def test_a_timeout_has_its_kind_and_its_seconds(telemetry: Telemetry, stack: ExitStack, timeout: Any) -> None:
    provider = stack.enter_context(LocalProvider("bedrock", Answer.hang()))
    assert isinstance(attempted(provider, request_to(provider), timeout=timeout), exceptions.ReadTimeoutError)
    span = only(telemetry)
    assert (span["failover.timeout.kind"], span["failover.timeout.configured"]) == ("read", 0.2)
    assert (span["failover.error.origin"], span.verdict) == ("transport", ("verified", None))


def test_a_request_outside_attempts_leaves_nothing_behind(telemetry: Telemetry, stack: ExitStack) -> None:
    """What goes to a host that no candidate has is nobody's, even where it is under way when one is first tried there."""
    provider = stack.enter_context(LocalProvider("bedrock", Answer.hang(1), Answer.ok()))
    request = request_to(provider, by_name(provider.endpoint))
    candidate = Candidate("bedrock", "m", by_name(provider.endpoint))
    with under_way(provider, lambda: httpsession.URLLib3Session().send(request)):
        assert telemetry.spans == []
        with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
            httpsession.URLLib3Session().send(request)
    span = only(telemetry)
    assert (span["failover.evidence"], span["failover.wire.requests"]) == ("complete", 1)


def test_a_session_token_never_leaves(telemetry: Telemetry, stack: ExitStack) -> None:
    token = "IQoJb3JpZ2luX2VjEJr8vL2mN4xWc7RtYbH3k"
    telemetry.planted.add(token)
    provider = stack.enter_context(LocalProvider("bedrock", Answer.error(403, f"The token {token} has expired")))
    attempted(provider, request_to(provider, token=token))
    assert only(telemetry)["failover.reason.code"] == "permission"
