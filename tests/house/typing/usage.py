"""What users write, as `mypy --strict` sees it; nothing here is run.

`assert_type` fails where a type is another one. Where a mistake of the user's has to be an error, the line says which:
an ignore that is not needed is an error itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from typing import Any

from typing_extensions import assert_type

from otel_failover import (
    Attempt,
    AttributionProcessor,
    Candidate,
    CandidateError,
    FailoverInstrumentor,
    Loop,
    Run,
    Summary,
    failover_run,
    summarize,
)
from otel_failover.testing.providers import Answer, LocalProvider, Served

CHAIN = [Candidate("openai", "gpt-5.5"), Candidate("anthropic", "claude-opus-4-7", endpoint="https://eu.example.com")]

# --- a loop by hand ---------------------------------------------------------------------------------------------------


def by_hand(prompt: str) -> str:
    with failover_run("chat", chain=CHAIN, name="support") as run:
        assert_type(run, Run)
        run.skip("openai/gpt-5.5", "cooldown")
        for candidate in CHAIN:
            with run.attempt(candidate, probe=False) as attempt:
                assert_type(attempt, Attempt)
                attempt.fail(ValueError(prompt))
                attempt.reject("too short")
            own = attempt.error
            assert_type(own, "CandidateError | None")
            if own is not None:
                assert_type(own.status_code, "int | None")
                assert_type(own.reason, str)
            assert_type((attempt.provider, attempt.model, attempt.index), tuple[str, str, int])
        run.stop("deadline")
    return prompt  # after a `with`: nothing of ours swallows an exception


def returns_inside(prompt: str) -> str:
    """A type checker has to see that `with` never swallows what is raised in it: else a `return` is missing here."""
    with failover_run() as run, run.attempt("openai/gpt-5.5"):
        return prompt


run_of_mappings = failover_run("chat", chain=({"provider": "openai"}, "openai/gpt-5.5"))
assert_type(run_of_mappings, Run)

# --- decorators keep what they decorate -------------------------------------------------------------------------------


@failover_run
def plain(prompt: str, *, limit: int = 1) -> str:
    return prompt * limit


@failover_run("chat", chain=CHAIN)
async def asked(prompt: str) -> bytes:
    return prompt.encode()


@failover_run("chat", chain=["openai/gpt-5.5"], name="support")
def streamed(prompt: str) -> Iterator[str]:
    yield prompt


@failover_run()
async def streamed_async(prompt: str) -> AsyncIterator[str]:
    yield prompt


class Service:
    @failover_run
    def answer(self, prompt: str) -> int:
        return len(prompt)


async def uses() -> None:
    assert_type(plain("?", limit=2), str)
    assert_type(await asked("?"), bytes)
    assert_type(streamed("?"), Iterator[str])
    assert_type([each async for each in streamed_async("?")], list[str])
    assert_type(Service().answer("?"), int)


# --- what a failure says ----------------------------------------------------------------------------------------------


def told(failure: Exception) -> dict[str, Any]:
    summary = summarize(failure, text=True)
    assert_type(summary, Summary)
    assert_type(summary.status, "int | None")
    first = summary.candidates[0]
    assert_type(first.reason, "str | None")
    assert_type(str(summary), str)
    return summary.as_dict()


def raised(error: CandidateError) -> str:
    return f"{error.provider}: {error.message}"


# --- turning it on ----------------------------------------------------------------------------------------------------

FailoverInstrumentor().instrument(loops=[Loop(run="acme.router:Router.route", provider="self.vendor", chain=CHAIN)])
PROCESSOR: AttributionProcessor = AttributionProcessor()

# --- tests of one's own loop ------------------------------------------------------------------------------------------


def own_test() -> None:
    with LocalProvider("openai", Answer.openai_quota(), Answer.ok("Hello")) as provider:
        assert_type(provider.base_url, str)
        assert_type(list(provider.log), list[Served])
        assert_type([served.status for served in provider.log], "list[int | None]")


# --- mistakes ---------------------------------------------------------------------------------------------------------


def mistakes(error: CandidateError, candidate: Candidate) -> None:
    from otel_failover import Summry  # type: ignore[attr-defined]

    Summry()
    Candidate("openai")  # type: ignore[call-arg]
    Candidate("openai", model=5)  # type: ignore[arg-type]
    candidate.model = "another"  # type: ignore[misc]
    error.reason = "another"  # type: ignore[misc]
    error.reason_code  # type: ignore[attr-defined]  # noqa: B018
    Loop()  # type: ignore[call-arg]
    Loop(run="acme:route", provder="self.vendor")  # type: ignore[call-arg]
    failover_run("chat", CHAIN, "support")  # type: ignore[call-overload]
    failover_run("chat", chains=CHAIN)  # type: ignore[call-overload]
    failover_run("chat").attempts("openai/gpt-5.5")  # type: ignore[attr-defined]
    plain(1)  # type: ignore[arg-type]
    plain("?", limits=2)  # type: ignore[call-arg]
    summarize(ValueError("?"), True)  # type: ignore[call-arg]
    LocalProvider("opnai")  # type: ignore[arg-type]
    with nullcontext(Run("chat")) as run:
        run.stop()  # type: ignore[call-arg]
