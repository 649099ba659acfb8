"""A loop that asks a hung provider again and again, while the next candidate is well and never asked.

Mended by reading `attempt.error.reason`: after a timeout the next candidate is tried.
"""

from __future__ import annotations

import openai

from examples.fix_your_loop.stage import Model, models, show
from otel_failover import CandidateError, failover_run, summarize
from otel_failover.testing.providers import Answer

TRIES = 3
CHAIN = (("openai", "gpt-5.5", Answer.hang()), ("deepseek", "deepseek-chat", Answer.ok("Hello!")))


def try_each(chain: list[Model]) -> str:
    first = chain[0]
    with failover_run("chat", chain=[each.candidate for each in chain]) as run:
        for _ in range(TRIES):
            try:
                with run.attempt(first.candidate):
                    return first.stream()
            except openai.APIConnectionError:
                continue  # "it will come back"
        raise RuntimeError(f"gave up: {summarize(run)}")


def try_each_mended(chain: list[Model]) -> str:
    with failover_run("chat", chain=[each.candidate for each in chain]) as run:
        for each in chain:
            for _ in range(TRIES):
                try:
                    with run.attempt(each.candidate) as attempt:
                        return each.stream()
                except openai.OpenAIError:
                    if not worth_another_try(attempt.error):
                        break
        raise RuntimeError(f"gave up: {summarize(run)}")


def worth_another_try(error: CandidateError | None) -> bool:
    """Whether the same candidate may well answer at once: after a lost connection, not after a silence."""
    return error is not None and error.reason == "connection"


def before() -> str:
    with models(*CHAIN) as chain:
        return try_each(chain)


def after() -> str:
    with models(*CHAIN) as chain:
        return try_each_mended(chain)


if __name__ == "__main__":
    show(before, after)
