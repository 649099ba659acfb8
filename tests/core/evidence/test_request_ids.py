"""Which request ids show whose an answer is: those that one provider issued, in a header or in its error's body."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import get_current_span

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, stand

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_failover import Run
    from tests.support.spans import Telemetry

SHORT = "no"
"""Too short to say whose it is."""
ISSUED = "5f0c1e64-7d33-4a55-9a0e-2f7b9f3a1d20"
STALE = ("mismatch", "stale_error")


def refusal(name: str, key: str = "request_id") -> Answer:
    """An error whose body names an id, as gateways send it; no header does."""
    body = {"error": {"message": SHORT, "type": "teapot"}, key: name}
    return Answer.raw(418, json.dumps(body), content_type="application/json")


def second_says(name: str, telemetry: Telemetry, answer: Answer, *, in_text: bool, **options: Any) -> Any:
    """Let the second candidate, which hangs, be told the first one's request id; return its verdict."""
    with stand("openai", answer) as first, stand("openrouter", Answer.hang(), timeout=0.15) as other:
        with failover_run("chat", chain=[first.candidate, other.candidate]) as run:
            with suppress(Exception), run.attempt(first.candidate):
                first.ask(**options)
            with suppress(LoopError), run.attempt(other.candidate):
                try:
                    other.ask(**options)
                except Exception:  # noqa: BLE001 - that is the loop
                    text = f"Error code: 418 - {{'error': {{'message': 'no'}}, 'request_id': '{name}'}}"
                    error = LoopError(text) if in_text else LoopError("gave up", request_id=name)
                    raise error from None
    return telemetry.candidates[1].verdict


@pytest.mark.parametrize("in_text", [False, True], ids=["attribute", "quoted key"])
@pytest.mark.parametrize("key", ["request_id", "requestId", "request-id"])
def test_an_id_that_only_the_body_names(telemetry: Telemetry, key: str, *, in_text: bool) -> None:
    assert second_says(ISSUED, telemetry, refusal(ISSUED, key), in_text=in_text) == STALE


@pytest.mark.parametrize("in_text", [False, True], ids=["attribute", "quoted key"])
@pytest.mark.parametrize(
    "options",
    [
        {"extra_headers": {"x-acme-trace": ISSUED}},
        {"extra_headers": {"x-acme-trace": f"root={ISSUED.replace('-', '').upper()}"}},
        {"extra_query": {"trace": ISSUED}},
        {"extra_body": {"metadata": {"id": ISSUED}}},
    ],
    ids=["a header", "a header, without dashes", "the URL", "the body"],
)
def test_an_id_that_we_sent_was_issued_by_nobody(
    telemetry: Telemetry, options: dict[str, Any], *, in_text: bool
) -> None:
    """A gateway tells the application's own correlation id, which every candidate was sent."""
    assert second_says(ISSUED, telemetry, refusal(ISSUED), in_text=in_text, **options)[0] != "mismatch"
    assert telemetry.markers == []


@pytest.mark.parametrize("spelled", [str, lambda name: str(uuid.UUID(name))], ids=["plain", "with dashes"])
def test_a_trace_id_was_issued_by_nobody(telemetry: Telemetry, spelled: Callable[[str], str]) -> None:
    """A sidecar names requests by the trace."""
    with stand("openai") as first, stand("openrouter", Answer.hang(), timeout=0.15) as other:
        with failover_run("chat", chain=[first.candidate, other.candidate]) as run:
            name = spelled(trace_id_of(run))
            first.server.program(refusal(name))
            with suppress(Exception), run.attempt(first.candidate):
                first.ask()
            with suppress(LoopError), run.attempt(other.candidate):
                with suppress(Exception):
                    other.ask()
                raise LoopError("gave up", request_id=name)
    assert telemetry.candidates[1].verdict[0] != "mismatch"


def trace_id_of(_: Run) -> str:
    return f"{get_current_span().get_span_context().trace_id:032x}"


def test_an_own_id_that_only_the_body_names(telemetry: Telemetry) -> None:
    with stand("openai", refusal(ISSUED)) as only:
        with failover_run("chat", chain=[only.candidate]) as run, suppress(LoopError), run.attempt(only.candidate):
            try:
                only.ask()
            except Exception as problem:  # noqa: BLE001 - that is the loop
                raise LoopError(str(problem), request_id=ISSUED) from None
    assert telemetry.candidates[0].verdict == ("verified", None)
