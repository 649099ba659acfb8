"""A loop that reads a candidate's error from its session: Anthropic's timeout is reported as OpenAI's quota.

Mended by reading `attempt.error`, which is the candidate's own, whatever the session holds.
"""

from __future__ import annotations

from examples.fix_your_loop.stage import Model, models, show
from otel_failover import failover_run
from otel_failover.testing.providers import Answer

CHAIN = (("openai", "gpt-5.5", Answer.openai_quota()), ("anthropic", "claude-opus-4-7", Answer.hang()))


class CandidateFailed(Exception):  # noqa: N818 - what the incident's loop called it
    """What the loop raises for a candidate."""


def try_each(chain: list[Model]) -> str:
    session: dict[str, str] = {}
    report = []
    with failover_run("chat", chain=[each.candidate for each in chain]) as run:
        for each in chain:
            try:
                with run.attempt(each.candidate):
                    try:
                        return each.ask()
                    except Exception as problem:
                        session.setdefault("last_error", str(problem))  # only ever the first one's
                        raise CandidateFailed(session["last_error"]) from None
            except CandidateFailed as failed:
                report.append(f"{each.candidate.provider}: {failed}")
    return "; ".join(report)


def try_each_mended(chain: list[Model]) -> str:
    report = []
    with failover_run("chat", chain=[each.candidate for each in chain]) as run:
        for each in chain:
            try:
                with run.attempt(each.candidate) as attempt:
                    return each.ask()
            except Exception:
                if attempt.error is not None:
                    report.append(f"{attempt.error.provider}: {attempt.error.message}")
    return "; ".join(report)


def before() -> str:
    with models(*CHAIN) as chain:
        return try_each(chain)


def after() -> str:
    with models(*CHAIN) as chain:
        return try_each_mended(chain)


if __name__ == "__main__":
    show(before, after)
