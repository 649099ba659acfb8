"""Three whole traces, as they are exported: every span, status, attribute and event; ids, times, ports are masked."""

# ruff: noqa: PT012 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from otel_failover import FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Exported, Telemetry

MEASURED = {"failover.wasted.duration"}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def drawn(telemetry: Telemetry) -> str:
    """Draw the only trace as an indented text."""
    (run,) = telemetry.starting("failover ")[:1]
    known = {span.span_id: f"<{span.name}>" for span in telemetry.spans}
    known[telemetry.run["failover.run.id"]] = "<run>"
    assert {span.trace_id for span in telemetry.spans} == {run.trace_id}
    assert {span.scope for span in telemetry.spans} == {"otel_failover"}
    return "\n".join(lines(telemetry, run, known, ""))


def lines(telemetry: Telemetry, span: Exported, known: dict[str, str], indent: str) -> Iterator[str]:
    length = " (no length)" if span.end - span.start == 1000 else ""
    description = re.sub(r"within \d+\.\d s", "within <seconds> s", span.description)
    described = f": {description}" if description else ""
    yield f"{indent}{span.name}{length} {span.status}{described}"
    for key, value in sorted(span.attributes.items()):
        yield f"{indent}  {key} = {masked(key, value, known)}"
    for name, attributes in span.events:
        shown = re.sub(r"(Claimed: \d+) .*", r"\1 <as sent>", masked("", name, known))
        yield f"{indent}  event {shown}"
        yield from (f"{indent}    {key} = {masked(key, value, known)}" for key, value in sorted(attributes.items()))
    for child in telemetry.children(span):
        yield from lines(telemetry, child, known, indent + "    ")


@pytest.fixture
def traced(telemetry: Telemetry) -> Telemetry:
    """With a span for every call: newer SDKs of Anthropic make one by themselves, older ones do not."""
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, call_spans="on")
    return telemetry


def masked(key: str, value: Any, known: dict[str, str]) -> str:
    if key in MEASURED:
        return "<seconds>"
    if key == "server.port":
        return "<port>"
    listed = [known.get(each, each) for each in value] if isinstance(value, list) else value
    shown = known.get(value, value) if isinstance(value, str) else listed
    text = str(shown)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:<port>", text)
    text = re.sub(r"\b(req|chatcmpl|msg|resp)([_-])[0-9a-zA-Z]+", r"\1\2<id>", text)
    if key.endswith(".message"):
        # SDKs frame the provider's sentence differently from one major version to the next.
        text = re.sub(r"^(Error code: \d+) - .*", r"\1 - <as sent>", text)
        text = re.sub(r"^(Request timed out|Connection error).*", r"\1…", text)
    return re.sub(r"in \d+\.\d s", "in <seconds> s", text)


def candidates(stack: ExitStack, *answers: Answer) -> list[Stand]:
    names = ("openai", "anthropic", "gcp.gemini")
    return [
        stack.enter_context(stand(name, answer, timeout=0.15 if answer.kind == "hang" else 5.0, profile=profile))
        for name, answer, profile in zip(names, answers, (None, None, "eu"), strict=True)
    ]


def test_the_incident(traced: Telemetry, stack: ExitStack) -> None:
    """OpenAI's quota error, told of Anthropic while it hung; Gemini serves."""
    first, second, third = candidates(stack, Answer.openai_quota(), Answer.hang(), Answer.ok())
    with failover_run("chat", chain=[first.candidate, second.candidate, third.candidate], name="route") as run:
        with pytest.raises(openai.RateLimitError) as caught, run.attempt(first.candidate):
            first.ask()
        with pytest.raises(LoopError), run.attempt(second.candidate):
            with pytest.raises(anthropic.APITimeoutError):
                second.ask()
            raise LoopError(str(caught.value), "anthropic", 429)
        with run.attempt(third.candidate):
            third.ask()
    assert drawn(traced) == INCIDENT


def test_an_honest_run_that_the_second_candidate_served(traced: Telemetry, stack: ExitStack) -> None:
    first, second, third = candidates(stack, Answer.openai_server_error(), Answer.ok(), Answer.ok())
    with failover_run("chat", chain=[first.candidate, second.candidate, third.candidate]) as run:
        with pytest.raises(openai.InternalServerError), run.attempt(first.candidate):
            first.ask()
        with run.attempt(second.candidate):
            second.ask()
    assert drawn(traced) == HONEST


def test_an_exhausted_run_with_a_skip(traced: Telemetry, stack: ExitStack) -> None:
    first, second, third = candidates(stack, Answer.openai_rate_limit(retry_after=7), Answer.ok(), Answer.reset())
    with failover_run("chat", chain=[first.candidate, second.candidate, third.candidate]) as run:
        with pytest.raises(openai.RateLimitError) as caught, run.attempt(first.candidate):
            first.ask()
        run.skip(second.candidate, "cooldown", caught.value)
        with run.attempt(third.candidate) as attempt:
            with pytest.raises(openai.APIConnectionError):
                third.ask()
            attempt.fail("network")
    assert drawn(traced) == EXHAUSTED


INCIDENT = """\
failover chat UNSET
  candidate.index = 2
  candidate.model = gemini-2.5-flash
  candidate.provider = gcp.gemini
  failover.attempt.count = 3
  failover.chain = ['openai/gpt-5.5', 'anthropic/claude-opus-4-7', 'gcp.gemini/gemini-2.5-flash']
  failover.findings = ['identical_errors']
  failover.library = manual
  failover.loop.name = route
  failover.outcome = fallback
  failover.run.id = <run>
  failover.wasted.duration = <seconds>
  event failover.finding.identical_errors
    failover.finding.candidates = [0, 1]
    failover.finding.fact.carried_by = ['anthropic/claude-opus-4-7']
    failover.finding.fact.held_by = ['openai/gpt-5.5']
    failover.finding.fact.span_ids = ['<candidate openai>', '<candidate anthropic>']
    failover.finding.level = warning
    failover.finding.rule = identical_errors
    failover.finding.sentence = anthropic/claude-opus-4-7 carries the error text of openai/gpt-5.5; its own evidence \
is complete and does not hold it
    candidate openai ERROR: You exceeded your current quota, please check your plan and billing details. For more \
information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.
      candidate.attempt = 1
      candidate.endpoint = http://127.0.0.1:<port>
      candidate.index = 0
      candidate.model = gpt-5.5
      candidate.outcome = error
      candidate.provider = openai
      error.type = billing
      failover.attribution.verdict = verified
      failover.error.code = insufficient_quota
      failover.error.fingerprint = 92b355f8fd4d8606
      failover.error.origin = response
      failover.evidence = complete
      failover.reason.code = billing
      failover.run.id = <run>
      failover.wire.request_id = req_<id>
      failover.wire.requests = 1
      failover.wire.statuses = ['429']
      http.response.status_code = 429
      event exception
        exception.message = Error code: 429 - <as sent>
        exception.type = openai.RateLimitError
        chat gpt-5.5 ERROR: You exceeded your current quota, please check your plan and billing details. For more \
information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.
          candidate.index = 0
          candidate.model = gpt-5.5
          candidate.provider = openai
          error.type = openai.RateLimitError
          failover.attribution.verdict = verified
          gen_ai.operation.name = chat
          gen_ai.provider.name = openai
          gen_ai.request.model = gpt-5.5
          http.response.status_code = 429
          server.address = 127.0.0.1
          server.port = <port>
    candidate anthropic ERROR: no response from anthropic within <seconds> s
      candidate.attempt = 1
      candidate.endpoint = http://127.0.0.1:<port>
      candidate.index = 1
      candidate.model = claude-opus-4-7
      candidate.outcome = error
      candidate.provider = anthropic
      error.type = timeout
      failover.attribution.bound_by = text
      failover.attribution.claimed.message = Error code: 429 - <as sent>
      failover.attribution.claimed.status_code = 429
      failover.attribution.claimed.type = tests.support.hosts.LoopError
      failover.attribution.expected.provider = anthropic
      failover.attribution.mismatch = True
      failover.attribution.rule = stale_error
      failover.attribution.source.index = 0
      failover.attribution.source.provider = openai
      failover.attribution.source.span_id = <candidate openai>
      failover.attribution.verdict = mismatch
      failover.error.origin = transport
      failover.evidence = complete
      failover.reason.code = timeout
      failover.run.id = <run>
      failover.timeout.configured = 0.15
      failover.timeout.kind = read
      failover.wire.requests = 1
      failover.wire.statuses = ['-']
      event exception
        exception.message = Request timed out…
        exception.type = anthropic.APITimeoutError
        chat claude-opus-4-7 ERROR: no response from anthropic within <seconds> s
          candidate.index = 1
          candidate.model = claude-opus-4-7
          candidate.provider = anthropic
          error.type = anthropic.APITimeoutError
          failover.attribution.verdict = verified
          gen_ai.operation.name = chat
          gen_ai.provider.name = anthropic
          gen_ai.request.model = claude-opus-4-7
          server.address = 127.0.0.1
          server.port = <port>
        failover.attribution.mismatch (no length) ERROR: openai's error on anthropic's span
          candidate.index = 1
          candidate.model = claude-opus-4-7
          candidate.provider = anthropic
          failover.attribution.bound_by = text
          failover.attribution.claimed.message = Error code: 429 - <as sent>
          failover.attribution.claimed.status_code = 429
          failover.attribution.claimed.type = tests.support.hosts.LoopError
          failover.attribution.expected.provider = anthropic
          failover.attribution.mismatch = True
          failover.attribution.own = no response in <seconds> s (timeout)
          failover.attribution.rule = stale_error
          failover.attribution.source.index = 0
          failover.attribution.source.provider = openai
          failover.attribution.source.span_id = <candidate openai>
          event anthropic/claude-opus-4-7 carries openai's error. Its own: no response in <seconds> s (timeout). Claimed: \
429 <as sent>
    candidate gcp.gemini UNSET
      candidate.attempt = 1
      candidate.endpoint = http://127.0.0.1:<port>
      candidate.index = 2
      candidate.model = gemini-2.5-flash
      candidate.outcome = success
      candidate.profile = eu
      candidate.provider = gcp.gemini
      failover.attribution.verdict = verified
      failover.evidence = complete
      failover.run.id = <run>
      failover.wire.request_id = req_<id>
      failover.wire.requests = 1
      failover.wire.statuses = ['200']
      http.response.status_code = 200
        chat gemini-2.5-flash UNSET
          candidate.index = 2
          candidate.model = gemini-2.5-flash
          candidate.provider = gcp.gemini
          gen_ai.operation.name = chat
          gen_ai.provider.name = gcp.gemini
          gen_ai.request.model = gemini-2.5-flash
          gen_ai.response.id = chatcmpl-<id>
          gen_ai.response.model = gemini-2.5-flash
          gen_ai.usage.input_tokens = 12
          gen_ai.usage.output_tokens = 1
          server.address = 127.0.0.1
          server.port = <port>"""

HONEST = """\
failover chat UNSET
  candidate.index = 1
  candidate.model = claude-opus-4-7
  candidate.provider = anthropic
  failover.attempt.count = 2
  failover.chain = ['openai/gpt-5.5', 'anthropic/claude-opus-4-7', 'gcp.gemini/gemini-2.5-flash']
  failover.library = manual
  failover.loop.name = chat
  failover.outcome = fallback
  failover.run.id = <run>
  failover.wasted.duration = <seconds>
    candidate openai ERROR: The server had an error while processing your request. Sorry about that! You can retry \
your request, or contact us through our help center at help.openai.com if the error persists.
      candidate.attempt = 1
      candidate.endpoint = http://127.0.0.1:<port>
      candidate.index = 0
      candidate.model = gpt-5.5
      candidate.outcome = error
      candidate.provider = openai
      error.type = server_error
      failover.attribution.verdict = verified
      failover.error.code = server_error
      failover.error.fingerprint = e88627a9ee8ec9b1
      failover.error.origin = response
      failover.evidence = complete
      failover.reason.code = server_error
      failover.run.id = <run>
      failover.wire.request_id = req_<id>
      failover.wire.requests = 1
      failover.wire.statuses = ['500']
      http.response.status_code = 500
      event exception
        exception.message = Error code: 500 - <as sent>
        exception.type = openai.InternalServerError
        chat gpt-5.5 ERROR: The server had an error while processing your request. Sorry about that! You can retry \
your request, or contact us through our help center at help.openai.com if the error persists.
          candidate.index = 0
          candidate.model = gpt-5.5
          candidate.provider = openai
          error.type = openai.InternalServerError
          failover.attribution.verdict = verified
          gen_ai.operation.name = chat
          gen_ai.provider.name = openai
          gen_ai.request.model = gpt-5.5
          http.response.status_code = 500
          server.address = 127.0.0.1
          server.port = <port>
    candidate anthropic UNSET
      candidate.attempt = 1
      candidate.endpoint = http://127.0.0.1:<port>
      candidate.index = 1
      candidate.model = claude-opus-4-7
      candidate.outcome = success
      candidate.provider = anthropic
      failover.attribution.verdict = verified
      failover.evidence = complete
      failover.run.id = <run>
      failover.wire.request_id = req_<id>
      failover.wire.requests = 1
      failover.wire.statuses = ['200']
      http.response.status_code = 200
        chat claude-opus-4-7 UNSET
          candidate.index = 1
          candidate.model = claude-opus-4-7
          candidate.provider = anthropic
          gen_ai.operation.name = chat
          gen_ai.provider.name = anthropic
          gen_ai.request.model = claude-opus-4-7
          gen_ai.response.id = msg_<id>
          gen_ai.response.model = claude-opus-4-7
          gen_ai.usage.input_tokens = 12
          gen_ai.usage.output_tokens = 1
          server.address = 127.0.0.1
          server.port = <port>"""

EXHAUSTED = """\
failover chat ERROR: 2 of 3 failed, 1 skipped: openai rate_limit, gcp.gemini connection
  candidate.index = 2
  candidate.model = gemini-2.5-flash
  candidate.provider = gcp.gemini
  error.type = exhausted
  failover.attempt.count = 2
  failover.chain = ['openai/gpt-5.5', 'anthropic/claude-opus-4-7', 'gcp.gemini/gemini-2.5-flash']
  failover.findings = ['unjustified_skip']
  failover.library = manual
  failover.loop.name = chat
  failover.outcome = exhausted
  failover.run.id = <run>
  failover.wasted.duration = <seconds>
  event failover.finding.unjustified_skip
    failover.finding.candidates = [1]
    failover.finding.fact.candidate = anthropic/claude-opus-4-7
    failover.finding.fact.cause = openai/gpt-5.5
    failover.finding.fact.cause_reason = rate_limit
    failover.finding.fact.reason = cooldown
    failover.finding.level = warning
    failover.finding.rule = unjustified_skip
    failover.finding.sentence = anthropic/claude-opus-4-7 was skipped (cooldown) for the failure of another provider: \
openai/gpt-5.5 (rate_limit)
    candidate openai ERROR: Rate limit reached for gpt-4o in organization org-local on tokens per min (TPM): Limit \
30000, Used 29937, Requested 785. Please try again in 1.444s. Visit https://platform.openai.com/account/rate-limits \
to learn more.
      candidate.attempt = 1
      candidate.endpoint = http://127.0.0.1:<port>
      candidate.index = 0
      candidate.model = gpt-5.5
      candidate.outcome = error
      candidate.provider = openai
      error.type = rate_limit
      failover.attribution.verdict = verified
      failover.error.code = rate_limit_exceeded
      failover.error.fingerprint = 2a5bc06872f537dd
      failover.error.origin = response
      failover.evidence = complete
      failover.reason.code = rate_limit
      failover.retry_after = 7.0
      failover.run.id = <run>
      failover.wire.request_id = req_<id>
      failover.wire.requests = 1
      failover.wire.statuses = ['429']
      http.response.status_code = 429
      event exception
        exception.message = Error code: 429 - <as sent>
        exception.type = openai.RateLimitError
        chat gpt-5.5 ERROR: Rate limit reached for gpt-4o in organization org-local on tokens per min (TPM): Limit \
30000, Used 29937, Requested 785. Please try again in 1.444s. Visit https://platform.openai.com/account/rate-limits \
to learn more.
          candidate.index = 0
          candidate.model = gpt-5.5
          candidate.provider = openai
          error.type = openai.RateLimitError
          failover.attribution.verdict = verified
          gen_ai.operation.name = chat
          gen_ai.provider.name = openai
          gen_ai.request.model = gpt-5.5
          http.response.status_code = 429
          server.address = 127.0.0.1
          server.port = <port>
    skip anthropic (no length) UNSET
      candidate.index = 1
      candidate.model = claude-opus-4-7
      candidate.outcome = skipped
      candidate.provider = anthropic
      failover.run.id = <run>
      failover.skip.cause_span_id = <candidate openai>
      failover.skip.reason = cooldown
    candidate gcp.gemini ERROR: connection to gcp.gemini failed
      candidate.attempt = 1
      candidate.endpoint = http://127.0.0.1:<port>
      candidate.index = 2
      candidate.model = gemini-2.5-flash
      candidate.outcome = error
      candidate.profile = eu
      candidate.provider = gcp.gemini
      error.type = connection
      failover.attribution.verdict = verified
      failover.error.origin = transport
      failover.evidence = complete
      failover.reason.code = connection
      failover.reason.host = network
      failover.run.id = <run>
      failover.wire.requests = 1
      failover.wire.statuses = ['-']
      event exception
        exception.message = Connection error…
        exception.type = openai.APIConnectionError
        chat gemini-2.5-flash ERROR: connection to gcp.gemini failed
          candidate.index = 2
          candidate.model = gemini-2.5-flash
          candidate.provider = gcp.gemini
          error.type = openai.APIConnectionError
          failover.attribution.verdict = verified
          gen_ai.operation.name = chat
          gen_ai.provider.name = gcp.gemini
          gen_ai.request.model = gemini-2.5-flash
          server.address = 127.0.0.1
          server.port = <port>"""
