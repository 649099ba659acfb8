"""The same three spans and metrics, written by hand for one loop over one SDK.

What a competent engineer would write who knows beforehand everything that the instrumentation has to find out: that
there is one request per call, that a success is a 200, which fields the SDK's errors have. Nothing is redacted, bound
or judged: what takes work to know stands here as a constant. It is the floor for the same names on the wire.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from typing import TYPE_CHECKING, Any, Final

import openai
from opentelemetry.trace import SpanKind, StatusCode

from otel_failover._core.domain import attributes as names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, Tracer

    from bench.stage import Case
    from otel_failover import Candidate

_SECONDS: Final = [0.01 * 2**power for power in range(17)]
_REASONS: Final = {"insufficient_quota": "billing", "rate_limit_exceeded": "rate_limit"}
_NUMBERS: Final = re.compile(r"\d+")


class ByHand:
    """A fallback loop with its own instrumentation.

    Args:
        tracer: Makes the spans.
        meter: Makes the instruments.
    """

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self._tracer = tracer
        self._runs = meter.create_counter(names.METRIC_RUNS, "{run}")
        self._attempts = meter.create_counter(names.METRIC_ATTEMPTS, "{attempt}")
        self._checks = meter.create_counter(names.METRIC_CHECKS, "{check}")
        self._run_duration = meter.create_histogram(
            names.METRIC_RUN_DURATION, "s", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._attempt_duration = meter.create_histogram(
            names.METRIC_ATTEMPT_DURATION, "s", explicit_bucket_boundaries_advisory=_SECONDS
        )

    def run(self, chain: Sequence[Candidate], case: Case) -> Any:
        """Ask one candidate after the other; None where all have failed."""
        started = time.monotonic()
        run_id = f"{random.getrandbits(128):032x}"
        attributes: dict[str, Any] = {
            names.RUN_ID: run_id,
            names.LIBRARY: "manual",
            names.LOOP_NAME: "chat",
            names.CHAIN: [f"{candidate.provider}/{candidate.model}" for candidate in chain],
        }
        served, failures, wasted, found = -1, [], 0.0, None
        with self._tracer.start_as_current_span(
            "failover chat", attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            for index, candidate in enumerate(chain):
                begun = time.monotonic()
                try:
                    found = self._attempt(candidate, index, run_id, case)
                except openai.APIStatusError as problem:
                    wasted += time.monotonic() - begun
                    failures.append(f"{candidate.provider} {_reason(problem)}")
                else:
                    served = index
                    break
            last = chain[served]
            outcome = "exhausted" if served < 0 else "fallback" if served else "primary"
            ended: dict[str, Any] = {
                names.OUTCOME: outcome,
                names.ATTEMPT_COUNT: len(failures) + (served >= 0),
                names.WASTED_DURATION: round(wasted, 6),
                names.CANDIDATE_PROVIDER: last.provider,
                names.CANDIDATE_MODEL: last.model,
                names.CANDIDATE_INDEX: served if served >= 0 else len(chain) - 1,
            }
            if served < 0:
                ended[names.ERROR_TYPE] = outcome
                count = len(failures)
                span.set_status(StatusCode.ERROR, f"{count} of {len(chain)} failed: {', '.join(failures)}")
            span.set_attributes(ended)
        labels = {names.LIBRARY: "manual", names.LOOP_NAME: "chat", names.OUTCOME: outcome}
        self._runs.add(1, labels)
        self._run_duration.record(time.monotonic() - started, labels)
        return found

    def _attempt(self, candidate: Candidate, index: int, run_id: str, case: Case) -> Any:
        """Ask one candidate; its error leaves."""
        started = time.monotonic()
        whose: dict[str, Any] = {
            names.CANDIDATE_PROVIDER: candidate.provider,
            names.CANDIDATE_MODEL: candidate.model,
            names.CANDIDATE_INDEX: index,
        }
        attributes = {**whose, names.CANDIDATE_ATTEMPT: 1, names.RUN_ID: run_id}
        if candidate.endpoint:
            attributes[names.CANDIDATE_ENDPOINT] = candidate.endpoint
        if candidate.profile:
            attributes[names.CANDIDATE_PROFILE] = candidate.profile
        labels: dict[str, Any] = {names.CANDIDATE_PROVIDER: candidate.provider}
        with self._tracer.start_as_current_span(
            f"candidate {candidate.provider}",
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                found, request_id = self._call(candidate, whose, case)
            except openai.APIStatusError as problem:
                labels[names.CANDIDATE_OUTCOME] = "error"
                labels[names.REASON_CODE] = _reason(problem)
                _write_failure(span, problem)
                raise
            else:
                labels[names.CANDIDATE_OUTCOME] = "success"
                span.set_attributes(
                    {
                        names.CANDIDATE_OUTCOME: "success",
                        names.WIRE_REQUESTS: 1,
                        names.WIRE_STATUSES: ["200"],
                        names.HTTP_STATUS: 200,
                        names.WIRE_REQUEST_ID: request_id or "",
                        names.VERDICT: "verified",
                        names.EVIDENCE: "complete",
                    }
                )
                return found
            finally:
                self._attempts.add(1, labels)
                self._attempt_duration.record(time.monotonic() - started, labels)
                self._checks.add(1, {names.VERDICT: "verified"})

    def _call(self, candidate: Candidate, whose: dict[str, Any], case: Case) -> tuple[Any, str | None]:
        """Call the SDK, read a stream to its end."""
        attributes = {
            **whose,
            names.GEN_AI_OPERATION: "chat",
            names.GEN_AI_PROVIDER: candidate.provider,
            names.GEN_AI_REQUEST_MODEL: candidate.model,
            names.SERVER_ADDRESS: case.client.base_url.host,
            names.SERVER_PORT: 443,
        }
        with self._tracer.start_as_current_span(
            f"chat {candidate.model}",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                found = case.create()
                if case.streamed:
                    return found, _read_stream(span, found)
            except openai.APIStatusError as problem:
                kind = type(problem)
                span.set_attributes(
                    {
                        names.ERROR_TYPE: f"{kind.__module__}.{kind.__qualname__}",
                        names.VERDICT: "verified",
                        names.HTTP_STATUS: problem.status_code,
                    }
                )
                span.set_status(StatusCode.ERROR, _message(problem))
                raise
            ended = {names.GEN_AI_RESPONSE_ID: found.id, names.GEN_AI_RESPONSE_MODEL: found.model}
            if found.usage is not None:
                ended["gen_ai.usage.input_tokens"] = found.usage.prompt_tokens
                ended["gen_ai.usage.output_tokens"] = found.usage.completion_tokens
            span.set_attributes(ended)
            return found, found._request_id


def _read_stream(span: Span, chunks: Any) -> str | None:
    response_id = None
    for chunk in chunks:
        if response_id is None:
            response_id = chunk.id
    span.set_attributes({names.GEN_AI_RESPONSE_ID: response_id or ""})
    request_id: str | None = chunks.response.headers.get("x-request-id")
    return request_id


def _reason(problem: openai.APIStatusError) -> str:
    return _REASONS.get(problem.code or "", "unknown")


def _message(problem: openai.APIStatusError) -> str:
    body = problem.body
    return str(body["message"]) if isinstance(body, dict) and "message" in body else str(problem)


def _write_failure(span: Span, problem: openai.APIStatusError) -> None:
    reason, message, kind = _reason(problem), _message(problem), type(problem)
    span.set_attributes(
        {
            names.CANDIDATE_OUTCOME: "error",
            names.WIRE_REQUESTS: 1,
            names.WIRE_STATUSES: [str(problem.status_code)],
            names.REASON_CODE: reason,
            names.ERROR_ORIGIN: "response",
            names.ERROR_CODE: problem.code or "",
            names.HTTP_STATUS: problem.status_code,
            names.WIRE_REQUEST_ID: problem.request_id or "",
            names.ERROR_TYPE: reason,
            names.VERDICT: "verified",
            names.ERROR_FINGERPRINT: hashlib.sha256(_NUMBERS.sub("", message.casefold()).encode()).hexdigest()[:16],
            names.EVIDENCE: "complete",
        }
    )
    span.set_status(StatusCode.ERROR, message)
    span.add_event(
        names.EVENT_EXCEPTION,
        {names.EXCEPTION_TYPE: f"{kind.__module__}.{kind.__qualname__}", names.EXCEPTION_MESSAGE: str(problem)},
    )
