"""A loop with every word it can say: attempts, a skip, a rejected reply, a deliberate stop, each candidate's own error.

Three local providers: one is out of quota, one never answers, one serves.
"""

from __future__ import annotations

from contextlib import ExitStack

import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from otel_failover import Candidate, CandidateError, FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer, LocalProvider

ANSWERS = {
    Candidate("openai", "gpt-5.5", profile="team-a"): Answer.openai_quota(),
    Candidate("openai", "gpt-5.5", profile="team-b"): Answer.ok("not asked: cooling down"),
    Candidate("mistral_ai", "mistral-large"): Answer.hang(),
    Candidate("deepseek", "deepseek-chat"): Answer.ok("Hello from the fourth."),
}
CHAIN = list(ANSWERS)


def ask(client: openai.OpenAI, candidate: Candidate, prompt: str) -> str:
    """Ask one candidate."""
    reply = client.chat.completions.create(model=candidate.model, messages=[{"role": "user", "content": prompt}])
    return reply.choices[0].message.content or ""


def answer(prompt: str, clients: dict[Candidate, openai.OpenAI], seconds_left: float = 60.0) -> str:
    """Try one candidate after the other."""
    errors: list[CandidateError | None] = []
    with failover_run("chat", chain=CHAIN, name="hello") as run:
        for candidate in CHAIN:
            if seconds_left <= 0:
                run.stop("deadline")
                break
            if candidate.profile == "team-b":
                run.skip(candidate, reason="cooldown")
                continue
            try:
                with run.attempt(candidate) as attempt:
                    reply = ask(clients[candidate], candidate, prompt)
                    if reply:
                        return reply
                    attempt.reject("empty reply")
            except openai.OpenAIError:
                errors.append(attempt.error)  # this candidate's own error, whatever was raised
                print("failed:", attempt.error and f"{attempt.error.provider}: {attempt.error.message}")
    raise RuntimeError("; ".join(f"{error.provider} {error.reason}" for error in errors if error))


def line(span: ReadableSpan) -> str:
    """One span in one line."""
    facts = span.attributes or {}
    keys = ("failover.outcome", "candidate.outcome", "failover.reason.code", "failover.attribution.verdict")
    return " ".join([span.name, *(str(facts[key]) for key in keys if key in facts)]) + "\n"


if __name__ == "__main__":
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
    trace.set_tracer_provider(provider)
    FailoverInstrumentor().instrument()

    with ExitStack() as stack:
        servers = {
            candidate: stack.enter_context(LocalProvider("openai", given)) for candidate, given in ANSWERS.items()
        }
        print(
            answer(
                "Say hello.",
                {
                    candidate: openai.OpenAI(
                        base_url=server.base_url,
                        api_key="sk-local-0123456789",
                        max_retries=0,
                        timeout=0.5 if ANSWERS[candidate].kind == "hang" else 30,
                    )
                    for candidate, server in servers.items()
                },
            )
        )
