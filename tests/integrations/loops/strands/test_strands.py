"""Strands Agents' ModelRouter: what became of every candidate, told by agents unchanged."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, aclosing
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("strands.models.routing")

from opentelemetry.trace import get_current_span

from otel_failover import Candidate, FailoverInstrumentor
from otel_failover.integrations.loops.strands.candidates import candidate_of
from otel_failover.testing.providers import Answer
from tests.integrations.loops.strands.models import (
    Bench,
    agent,
    answered,
    anthropics,
    openais,
    reached,
    router,
    routing,
    strands,
    streamed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Exported, Telemetry

hooks, telemetries = pytest.importorskip("strands.hooks"), pytest.importorskip("strands.telemetry.tracer")
GPT, CLAUDE = "openai/gpt-5.5", "anthropic/claude-opus-4-7"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


@pytest.fixture(autouse=True)
def native(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> Telemetry:
    """Let Strands export its own spans beside ours."""
    told = telemetries.Tracer()
    told.tracer_provider = telemetry.provider
    told.tracer = telemetry.provider.get_tracer(told.service_name)
    monkeypatch.setattr(telemetries, "_tracer_instance", told)
    return telemetry


def theirs(telemetry: Telemetry) -> list[Exported]:
    return [span for span in telemetry.spans if span.scope == "strands.telemetry.tracer"]


def invoked(telemetry: Telemetry) -> Exported:
    """Return Strands' own span of the whole invocation."""
    (found,) = [span for span in theirs(telemetry) if span.name.startswith("invoke_agent")]
    return found


def outcomes(telemetry: Telemetry) -> list[tuple[int, str, str | None]]:
    """Return place, outcome and reason of every attempt, in order; none may be a mismatch."""
    assert {span.verdict[0] for span in telemetry.candidates} == {"verified"}
    assert not telemetry.markers
    return [
        (span["candidate.index"], span["candidate.outcome"], span["failover.reason.code"])
        for span in telemetry.candidates
    ]


# --- one pass ---------------------------------------------------------------------------------------------------------


def test_the_first_serves(telemetry: Telemetry, bench: Bench) -> None:
    assert bench.ask(router(bench.openai(Answer.ok("fine")), bench.anthropic())) == "fine"
    assert outcomes(telemetry) == [(0, "success", None)]
    run = telemetry.run
    assert (run.status, run["failover.outcome"], run["failover.library"]) == ("UNSET", "primary", "strands")
    assert run["failover.chain"] == [GPT, CLAUDE]
    assert bench.asked == [[200], []]


@pytest.mark.parametrize("how", ["ask", "stream"])
def test_the_second_serves(telemetry: Telemetry, bench: Bench, how: str) -> None:
    said = getattr(bench, how)(router(bench.openai(Answer.openai_server_error()), bench.anthropic(Answer.ok("fine"))))
    assert "".join(said) == "fine"
    assert outcomes(telemetry) == [(0, "error", "server_error"), (1, "success", None)]
    run = telemetry.run
    assert (run["failover.outcome"], run["candidate.provider"]) == ("fallback", "anthropic")
    first, second = telemetry.candidates
    assert first.parent_id == second.parent_id == run.span_id
    assert (first["http.response.status_code"], second["http.response.status_code"]) == (500, 200)
    assert [each["gen_ai.provider.name"] for each in telemetry.children(first)] == ["openai"]
    assert bench.asked == [[500], [200]]


def test_a_throttled_one_is_evidence_behind_what_strands_raises(telemetry: Telemetry, bench: Bench) -> None:
    """Strands raises a ModelThrottledException of its own, with the SDK's error as its cause."""
    said = bench.ask(router(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.ok("fine"))))
    assert said == "fine"
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]
    assert telemetry.candidates[0]["http.response.status_code"] == 429


def test_all_fail_each_for_its_own_reason(telemetry: Telemetry, bench: Bench) -> None:
    problem = bench.ask(router(bench.openai(Answer.openai_bad_key()), bench.anthropic(Answer.anthropic_not_found())))
    assert problem.status_code == 404
    assert [span["failover.reason.code"] for span in telemetry.candidates] == ["auth", "model_not_found"]
    assert {span.verdict[0] for span in telemetry.candidates} == {"verified"}
    run = telemetry.run
    assert run.description == "2 of 2 failed: openai auth, anthropic model_not_found"
    assert (run.status, run["error.type"], run["failover.stop.reason"]) == ("ERROR", "exhausted", None)


def test_a_hang_is_a_timeout_of_its_own(telemetry: Telemetry, bench: Bench) -> None:
    said = bench.ask(router(bench.openai(Answer.hang(), timeout=0.15), bench.anthropic(Answer.ok("fine"))))
    assert said == "fine"
    assert outcomes(telemetry) == [(0, "error", "timeout"), (1, "success", None)]
    assert "http.response.status_code" not in telemetry.candidates[0].attributes


def test_a_cap_on_switches_is_a_deliberate_end(telemetry: Telemetry, bench: Bench) -> None:
    chain = router(bench.openai(Answer.openai_server_error()), bench.anthropic(), max_switches=0)
    assert isinstance(bench.ask(chain), Exception)
    run = telemetry.run
    assert (run["failover.outcome"], run["failover.untried"]) == ("stopped", [CLAUDE])
    assert run["failover.stop.reason"] == "max_switches"
    assert run["failover.findings"] == ["chain_stopped"]


def test_a_strategy_that_declines_is_a_deliberate_end(telemetry: Telemetry, bench: Bench) -> None:
    class Once:
        async def select(self, context: Any, **kwargs: Any) -> Any:
            return None if context.attempts else context.candidates[0]

    assert isinstance(
        bench.ask(router(bench.openai(Answer.openai_server_error()), bench.anthropic(), strategy=Once())), Exception
    )
    assert telemetry.run["failover.stop.reason"] == "the strategy named no other candidate"


def test_strands_own_retries_are_attempts_at_the_same_candidate(telemetry: Telemetry, bench: Bench) -> None:
    retries = strands.ModelRetryStrategy(max_attempts=2, initial_delay=0, max_delay=0)
    chain = router(bench.openai(Answer.openai_rate_limit()), bench.anthropic(Answer.ok("fine")))
    assert bench.ask(chain, retry_strategy=retries) == "fine"
    assert [(span["candidate.index"], span["candidate.attempt"]) for span in telemetry.candidates] == [
        (0, 1),
        (0, 2),
        (1, 1),
    ]
    assert outcomes(telemetry)[-1] == (1, "success", None)
    assert bench.asked == [[429, 429], [200]]


def test_the_retries_inside_an_sdk_are_counted(telemetry: Telemetry, bench: Bench) -> None:
    limit = Answer.openai_rate_limit(retry_after=0.001)
    assert bench.ask(router(bench.openai(limit, limit, retries=1), bench.anthropic(Answer.ok("fine")))) == "fine"
    assert outcomes(telemetry) == [(0, "error", "rate_limit"), (1, "success", None)]
    assert telemetry.candidates[0]["failover.wire.requests"] == 2


def test_names_are_profiles_and_a_router_inside_is_one_candidate(telemetry: Telemetry, bench: Bench) -> None:
    inside = router(bench.openai(Answer.openai_server_error()), bench.openai(model="never"))
    chain = router(
        routing.RoutingCandidate(inside, name="cheap"),
        routing.RoutingCandidate(bench.anthropic(Answer.ok("fine")), name="good"),
    )
    assert bench.ask(chain) == "fine"
    assert outcomes(telemetry) == [(0, "error", "server_error"), (1, "success", None)]
    assert [span["candidate.profile"] for span in telemetry.candidates] == ["cheap", "good"]
    assert [span["candidate.provider"] for span in telemetry.candidates] == ["openai", "anthropic"]
    assert [span["candidate.model"] for span in telemetry.candidates] == ["gpt-5.5", "claude-opus-4-7"]


def test_a_call_that_a_hook_forbids_is_no_run(telemetry: Telemetry, bench: Bench) -> None:
    asker = agent(router(bench.openai(), bench.anthropic()))
    asker.hooks.add_callback(hooks.BeforeModelCallEvent, lambda event: setattr(event, "cancel", "not now"))
    assert bench.run(lambda: answered(asker)) == "not now"
    assert not telemetry.starting("failover ")
    assert bench.asked == [[], []]


def test_every_call_of_an_agents_loop_is_a_run(telemetry: Telemetry, bench: Bench) -> None:
    """The router stays where it is for the rest of an invocation, and begins anew with the next one."""
    chain = router(bench.openai(Answer.openai_server_error(), Answer.ok("fine")), bench.anthropic(Answer.ok("fine")))

    async def work() -> list[str]:
        asker = agent(chain)
        return [await answered(asker), await answered(asker)]

    assert bench.run(work) == ["fine", "fine"]
    assert [run["failover.outcome"] for run in telemetry.starting("failover ")] == ["fallback", "primary"]


def test_without_a_router_there_is_no_run(telemetry: Telemetry, bench: Bench) -> None:
    assert bench.ask(bench.openai(Answer.ok("fine"))) == "fine"
    assert not telemetry.starting("failover ")
    assert not telemetry.candidates


def test_called_as_a_function(telemetry: Telemetry, bench: Bench) -> None:
    """Strands runs its loop in a thread of its own then."""
    asker = agent(router(bench.openai(Answer.openai_server_error()), bench.anthropic(Answer.ok("fine"))))
    with telemetry.tracer.start_as_current_span("mine"):
        assert str(asker("hello")).strip() == "fine"
    assert outcomes(telemetry) == [(0, "error", "server_error"), (1, "success", None)]
    assert telemetry.run.trace_id == telemetry.named("mine")[0].trace_id


# --- streams ----------------------------------------------------------------------------------------------------------


def test_one_that_fails_midway_is_partial_and_the_next_one_serves(telemetry: Telemetry, bench: Bench) -> None:
    """Strands does go on after output began: its documents say so."""
    chain = router(bench.anthropic(Answer.stream(["Hel", "lo"], then="error")), bench.openai(Answer.ok("fine")))
    assert "".join(bench.stream(chain)) == "Hellofine"
    assert [each[:2] for each in outcomes(telemetry)] == [(0, "partial"), (1, "success")]
    assert telemetry.run["failover.outcome"] == "fallback"
    assert "partial_delivered" in telemetry.run["failover.findings"]


def test_nothing_is_current_for_who_reads_the_events(telemetry: Telemetry, bench: Bench) -> None:
    asker = agent(router(bench.openai(Answer.openai_server_error()), bench.anthropic(Answer.stream(["Hel", "lo"]))))

    async def work() -> set[str]:
        return {read_name() async for _ in asker.stream_async("hello")}

    def read_name() -> str:
        name: str = getattr(get_current_span(), "name", "")
        return name

    assert not [name for name in bench.run(work) if name.startswith(("failover", "candidate"))]


def test_a_stream_left_early_ends_everything(telemetry: Telemetry, bench: Bench) -> None:
    asker = agent(
        router(bench.openai(Answer.openai_server_error()), bench.anthropic(Answer.stream(["Hel", "lo", "!"])))
    )

    async def work() -> None:
        async with aclosing(asker.stream_async("hello")) as events:
            async for event in events:
                if "data" in event:
                    break
        await asyncio.get_running_loop().shutdown_asyncgens()

    bench.run(work)
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["error", "success"]
    assert telemetry.run["failover.outcome"] == "fallback"


# --- cancelled, concurrent --------------------------------------------------------------------------------------------


def test_cancelled_by_the_user(telemetry: Telemetry, bench: Bench) -> None:
    asker = agent(router(bench.openai(Answer.openai_server_error()), bench.anthropic(Answer.hang())))

    async def work() -> None:
        asked = asyncio.ensure_future(asker.invoke_async("hello"))
        await reached(bench.servers[1])
        asked.cancel()
        await asyncio.wait([asked])
        assert asked.cancelled()

    bench.run(work)
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["error", "cancelled"]
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("cancelled", "UNSET")


def test_runs_side_by_side_never_cross(telemetry: Telemetry, bench: Bench) -> None:
    """One router, shared by many agents at once: every run has its own two attempts."""
    chain = router(bench.openai(Answer.openai_server_error()), bench.anthropic(Answer.delayed(Answer.ok("fine"), 0.02)))

    async def work() -> Any:
        each = (streamed(agent(chain)) if at % 2 else answered(agent(chain)) for at in range(8))
        return await asyncio.gather(*each)

    assert {"".join(said) for said in bench.run(work)} == {"fine"}
    runs = telemetry.starting("failover chat")
    assert len(runs) == 8
    for run in runs:
        below = [span for span in telemetry.candidates if span.parent_id == run.span_id]
        assert [(span["candidate.index"], span["candidate.outcome"]) for span in below] == [
            (0, "error"),
            (1, "success"),
        ]
    assert not telemetry.markers


# --- what Strands' own spans say --------------------------------------------------------------------------------------


def test_its_chat_spans_carry_their_candidate(telemetry: Telemetry, bench: Bench) -> None:
    bench.ask(router(bench.openai(Answer.openai_server_error()), bench.anthropic(Answer.ok("fine"))))
    chats = sorted((span for span in theirs(telemetry) if span.name == "chat"), key=lambda span: span.start)
    assert [(span["candidate.provider"], span["candidate.index"]) for span in chats] == [
        ("openai", 0),
        ("anthropic", 1),
    ]
    assert [span.verdict[0] for span in chats] == ["verified", None]


ENDINGS = [
    pytest.param(Answer.anthropic_credit_too_low(), id="long"),
    pytest.param(Answer.anthropic_not_found(), id="short"),
]


@pytest.mark.parametrize("answer", ENDINGS)
def test_the_last_ones_error_on_the_first_ones_span_is_a_report(
    telemetry: Telemetry, bench: Bench, answer: Answer
) -> None:
    """`invoke_agent` names the first candidate's model, and carries the last one's exception: how it ended."""
    assert isinstance(bench.ask(router(bench.openai(Answer.openai_server_error()), bench.anthropic(answer))), Exception)
    span = invoked(telemetry)
    assert span["gen_ai.request.model"] == "gpt-5.5"
    assert span.verdict == ("unverified", "report")
    assert not telemetry.markers


def test_the_same_between_two_models_of_one_provider(telemetry: Telemetry, bench: Bench) -> None:
    second = bench.openai(Answer.openai_bad_key(), model="gpt-5.5-mini")
    bench.ask(router(bench.openai(Answer.openai_server_error()), second))
    assert invoked(telemetry).verdict == ("unverified", "report")
    assert not telemetry.markers


HONEST: Any = {
    "first serves": (Answer.ok("fine"), Answer.ok("fine")),
    "second serves": (Answer.openai_server_error(), Answer.ok("fine")),
    "second serves after a throttle": (Answer.openai_quota(), Answer.ok("fine")),
    "fails midway": (Answer.stream(["Hel", "lo"], then="error"), Answer.ok("fine")),
    "cut off": (Answer.stream(["Hel", "lo"], then="cut"), Answer.ok("fine")),
}


@pytest.mark.parametrize("how", ["ask", "stream"])
@pytest.mark.parametrize("case", HONEST)
def test_its_honest_spans_are_never_flagged(telemetry: Telemetry, bench: Bench, case: str, how: str) -> None:
    first, second = HONEST[case]
    getattr(bench, how)(router(bench.openai(first), bench.anthropic(second)))
    invoked(telemetry)
    assert not telemetry.markers
    assert not [span for span in telemetry.spans if span.verdict[0] in ("mismatch", "inconsistent")]


@pytest.mark.parametrize("capped", [False, True])
def test_one_that_fails_alone_is_never_flagged(telemetry: Telemetry, bench: Bench, capped: bool) -> None:
    """The span names whom it speaks of: the only candidate, or the only one that was tried."""
    first = bench.openai(Answer.openai_server_error())
    bench.ask(router(first, bench.anthropic(), max_switches=0) if capped else router(first))
    assert invoked(telemetry).status == "ERROR"
    assert not telemetry.markers
    assert not [span for span in telemetry.spans if span.verdict[0] in ("mismatch", "inconsistent")]


# --- who a model is ---------------------------------------------------------------------------------------------------


def test_who_a_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    plain = openais.OpenAIModel(model_id="gpt-x")
    assert candidate_of(plain) == Candidate("openai", "gpt-x")
    there = openais.OpenAIModel(client_args={"base_url": "https://openrouter.ai/api/v1"}, model_id="gpt-x")
    assert candidate_of(there) == Candidate("openrouter", "gpt-x", "https://openrouter.ai")
    claude = anthropics.AnthropicModel(client_args={"api_key": "any"}, model_id="c", max_tokens=1)
    assert candidate_of(claude) == Candidate("anthropic", "c", "https://api.anthropic.com")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert candidate_of(plain) == Candidate("openai", "gpt-x", "http://127.0.0.1:9")
    own = type("OwnFacts", (openais.OpenAIModel,), {"_get_client": lambda self: None})
    assert candidate_of(own(model_id="gpt-x")).provider == ""
    assert candidate_of(object()) == Candidate("", "")


# --- the same with us as without --------------------------------------------------------------------------------------


def shown(said: Any) -> Any:
    if not isinstance(said, BaseException):
        return said
    return type(said), str(said).partition("request_id")[0], type(said.__cause__), type(said.__context__)


@pytest.mark.parametrize("how", ["ask", "stream"])
@pytest.mark.parametrize("case", [*HONEST, "both fail"])
def test_results_errors_and_requests_are_the_same(case: str, how: str) -> None:
    first, second = HONEST.get(case, (Answer.openai_quota(), Answer.anthropic_rate_limit()))

    def once() -> Any:
        with ExitStack() as stack:
            bench = Bench(stack)
            said = getattr(bench, how)(router(bench.openai(first), bench.anthropic(second)))
            return shown(said), bench.asked

    FailoverInstrumentor().uninstrument()
    without = once()
    FailoverInstrumentor().instrument()
    assert once() == without
