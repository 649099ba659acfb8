"""A loop that goes on only for errors it knows: an unknown model, or any odd status, ends a chain of seventeen.

Mended by reading `attempt.error.reason`: the next candidate is tried unless the request itself was refused, which every
other candidate would refuse too.
"""

from __future__ import annotations

import openai

from examples.fix_your_loop.stage import Model, models, show
from otel_failover import failover_run
from otel_failover.testing.providers import Answer

KNOWN = (openai.RateLimitError, openai.InternalServerError, openai.APITimeoutError)
THE_REQUESTS_OWN = frozenset({"invalid_request", "context_overflow", "content_policy"})

UNKNOWN_MODEL = (Answer.error(404, "The model `model-0` does not exist", code="model_not_found"), Answer.ok("Hello!"))
ODD_STATUS = (Answer.openai_rate_limit(), Answer.error(418, "I'm a teapot"), Answer.ok("Hello!"))
SEVENTEEN = 17


def try_each(chain: list[Model]) -> str:
    with failover_run("chat", chain=[each.candidate for each in chain]) as run:
        for each in chain:
            try:
                with run.attempt(each.candidate):
                    return each.ask()
            except KNOWN:
                continue
    raise RuntimeError("all failed")


def try_each_mended(chain: list[Model]) -> str:
    with failover_run("chat", chain=[each.candidate for each in chain]) as run:
        for each in chain:
            try:
                with run.attempt(each.candidate) as attempt:
                    return each.ask()
            except openai.OpenAIError:
                if attempt.error is not None and attempt.error.reason in THE_REQUESTS_OWN:
                    run.stop("the request itself was refused")
                    raise
    raise RuntimeError("all failed")


def chain_of(answers: tuple[Answer, ...]) -> list[tuple[str, str, Answer]]:
    """Return seventeen candidates; the last answer is also that of all that follow."""
    padded = [*answers, *[answers[-1]] * (SEVENTEEN - len(answers))]
    return [("openai", f"model-{place}", answer) for place, answer in enumerate(padded)]


def before(answers: tuple[Answer, ...] = ODD_STATUS) -> str:
    with models(*chain_of(answers)) as chain:
        return try_each(chain)


def after(answers: tuple[Answer, ...] = ODD_STATUS) -> str:
    with models(*chain_of(answers)) as chain:
        return try_each_mended(chain)


if __name__ == "__main__":
    show(before, after)
    show(lambda: before(UNKNOWN_MODEL), lambda: after(UNKNOWN_MODEL))
