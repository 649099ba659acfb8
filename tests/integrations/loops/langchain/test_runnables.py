"""LangChain's fallback loops: what became of every candidate, told by LangChain's users' own programs unchanged."""

from __future__ import annotations

import asyncio
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import openai
import pytest

from otel_failover import Candidate, FailoverInstrumentor
from otel_failover.integrations.loops.langchain.candidates import candidate_of
from otel_failover.testing.providers import Answer
from tests.integrations.loops.langchain.models import BATCHES, WAYS, Bench, ChatOpenAI
from tests.support.hosts import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Exported, Telemetry

outputs = pytest.importorskip("langchain_core.output_parsers")
JsonOutputParser, StrOutputParser = outputs.JsonOutputParser, outputs.StrOutputParser
runnables = pytest.importorskip("langchain_core.runnables")
ConfigurableField, RunnableLambda, RunnableParallel = (
    runnables.ConfigurableField,
    runnables.RunnableLambda,
    runnables.RunnableParallel,
)

PROMPT = pytest.importorskip("langchain_core.prompts").ChatPromptTemplate.from_template("say {word}")
CHAIN = ["openai/gpt-5.5", "anthropic/claude-opus-4-7"]

ways = pytest.mark.parametrize("way", WAYS)
batches = pytest.mark.parametrize("way", BATCHES)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


def outcomes(telemetry: Telemetry) -> list[tuple[int, str, str | None]]:
    """Return place, outcome and reason of every attempt, in order; none may be a mismatch."""
    assert not telemetry.markers
    return [_outcome(span) for span in telemetry.candidates]


def _outcome(span: Exported) -> tuple[int, str, str | None]:
    return span["candidate.index"], span["candidate.outcome"], span["failover.reason.code"]


def verdicts(telemetry: Telemetry) -> set[str]:
    return {span.verdict[0] for span in telemetry.spans if span.verdict[0] is not None}


def by_run(telemetry: Telemetry) -> list[tuple[str, list[tuple[int, str, str | None]]]]:
    """Return each run's outcome with its attempts."""
    assert not telemetry.markers
    runs = telemetry.named("failover chat")
    return [
        (run["failover.outcome"], [_outcome(each) for each in telemetry.children(run) if "candidate" in each.name])
        for run in runs
    ]


# --- one pass ---------------------------------------------------------------------------------------------------------


@ways
def test_the_first_serves(telemetry: Telemetry, bench: Bench, way: str) -> None:
    chain = bench.openai(Answer.ok("fine")).with_fallbacks([bench.anthropic()])
    assert bench.ask(chain, way=way) == "fine"
    assert outcomes(telemetry) == [(0, "success", None)]
    run = telemetry.run
    assert (run.status, run["failover.outcome"], run["failover.library"]) == ("UNSET", "primary", "langchain_core")
    assert run["failover.chain"] == CHAIN
    assert bench.asked == [[200], []]


@ways
def test_the_second_serves(telemetry: Telemetry, bench: Bench, way: str) -> None:
    chain = bench.openai(Answer.openai_quota()).with_fallbacks([bench.anthropic(Answer.ok("fine"))])
    assert bench.ask(chain, way=way) == "fine"
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]
    assert (telemetry.run["failover.outcome"], telemetry.run["candidate.provider"]) == ("fallback", "anthropic")
    first, second = telemetry.candidates
    assert (first["http.response.status_code"], first["failover.wire.requests"]) == (429, 1)
    assert {child["candidate.provider"] for child in telemetry.children(first)} == {"openai"}
    assert {child["candidate.provider"] for child in telemetry.children(second)} == {"anthropic"}
    assert verdicts(telemetry) == {"verified"}
    assert bench.asked == [[429], [200]]


@ways
def test_all_fail_and_the_first_error_that_leaves_is_nobody_elses(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """LangChain raises the first candidate's error, once more, after the second's: a report."""
    chain = bench.openai(Answer.openai_model_not_found()).with_fallbacks(
        [bench.anthropic(Answer.anthropic_rate_limit())]
    )
    with telemetry.tracer.start_as_current_span("request") as request:
        problem = bench.ask(chain, way=way)
        request.record_exception(problem)
    assert isinstance(problem, openai.NotFoundError)
    assert outcomes(telemetry) == [(0, "error", "model_not_found"), (1, "error", "rate_limit")]
    assert [span["http.response.status_code"] for span in telemetry.candidates] == [404, 429]
    assert (telemetry.run.status, telemetry.run["error.type"]) == ("ERROR", "exhausted")
    assert telemetry.run.description == "2 of 2 failed: openai model_not_found, anthropic rate_limit"
    assert {span.verdict[0] for span in telemetry.candidates} == {"verified"}
    assert "mismatch" not in verdicts(telemetry)


@ways
def test_a_hang_is_a_timeout_of_its_own(telemetry: Telemetry, bench: Bench, way: str) -> None:
    chain = bench.openai(Answer.openai_quota()).with_fallbacks([bench.anthropic(Answer.hang(), timeout=0.15)])
    assert isinstance(bench.ask(chain, way=way), openai.RateLimitError)
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "error", "timeout")]
    assert "http.response.status_code" not in telemetry.candidates[1].attributes
    assert verdicts(telemetry) == {"verified"}


@ways
def test_an_error_that_is_not_eligible_leaves_as_it_is(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """An error that `exceptions_to_handle` lacks leaves the others untried."""
    first = bench.openai(Answer.openai_bad_key())
    chain = first.with_fallbacks([bench.anthropic()], exceptions_to_handle=(openai.RateLimitError,))
    assert isinstance(bench.ask(chain, way=way), openai.AuthenticationError)
    assert outcomes(telemetry) == [(0, "error", "auth")]
    run = telemetry.run
    assert (run["failover.outcome"], run["failover.untried"]) == ("stopped", CHAIN[1:])
    assert run["failover.stop.reason"] is None
    assert bench.asked == [[401], []]


def test_retries_of_the_sdk_are_counted(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(Answer.openai_server_error(), Answer.openai_server_error(), retries=1)
    assert bench.ask(first.with_fallbacks([bench.anthropic(Answer.ok("fine"))])) == "fine"
    assert [span["failover.wire.requests"] for span in telemetry.candidates] == [2, 1]


# --- what candidates are made of --------------------------------------------------------------------------------------


@ways
def test_candidates_are_whole_chains(telemetry: Telemetry, bench: Bench, way: str) -> None:
    first = PROMPT | bench.openai(Answer.openai_quota()) | StrOutputParser()
    second = PROMPT | bench.anthropic(Answer.ok("fine")) | StrOutputParser()
    assert bench.ask(first.with_fallbacks([second]), {"word": "so"}, way) == "fine"
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]
    assert telemetry.run["failover.chain"] == CHAIN
    assert verdicts(telemetry) == {"verified"}


@ways
def test_the_loop_is_a_step_of_a_chain(telemetry: Telemetry, bench: Bench, way: str) -> None:
    models = bench.openai(Answer.openai_quota()).with_fallbacks([bench.anthropic(Answer.ok("fine"))])
    assert bench.ask(PROMPT | models | StrOutputParser(), {"word": "so"}, way) == "fine"
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]


@pytest.mark.parametrize("way", WAYS[:2])
def test_an_answer_that_the_parser_refuses_is_no_error_of_the_provider(
    telemetry: Telemetry, bench: Bench, way: str
) -> None:
    first = PROMPT | bench.openai(Answer.ok("no json")) | JsonOutputParser()
    second = PROMPT | bench.anthropic(Answer.ok("{}")) | JsonOutputParser()
    assert bench.ask(first.with_fallbacks([second]), {"word": "so"}, way) == {}
    refused = telemetry.candidates[0]
    assert (refused["candidate.outcome"], refused["http.response.status_code"]) == ("rejected", 200)
    assert telemetry.run["failover.outcome"] == "fallback"
    assert "mismatch" not in verdicts(telemetry)


def test_tools_are_bound_to_each(telemetry: Telemetry, bench: Bench) -> None:
    """LangChain makes a new chain of bindings; they are the same candidates."""
    tool = {
        "type": "function",
        "function": {"name": "look", "description": "looks", "parameters": {"type": "object", "properties": {}}},
    }
    chain: Any = bench.openai(Answer.openai_quota()).with_fallbacks([bench.anthropic(Answer.ok("fine"))])
    assert bench.ask(chain.bind_tools([tool])) == "fine"
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]
    assert telemetry.run["failover.chain"] == CHAIN


def test_a_canned_answer_is_a_candidate_by_its_name(telemetry: Telemetry, bench: Bench) -> None:
    def sorry(_: object) -> str:
        return "sorry"

    chain = bench.openai(Answer.openai_quota()).with_fallbacks([RunnableLambda(sorry)])
    assert bench.ask(chain) == "sorry"
    assert telemetry.run["failover.chain"] == ["openai/gpt-5.5", "sorry"]
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]
    assert telemetry.candidates[1]["failover.evidence"] == "none"


def test_a_function_that_asks_a_model_is_known_by_its_call(telemetry: Telemetry, bench: Bench) -> None:
    model = bench.anthropic(Answer.anthropic_overloaded())
    chain = RunnableLambda(lambda text: model.invoke(text)).with_fallbacks([bench.openai(Answer.ok("fine"))])
    assert bench.ask(chain) == "fine"
    assert telemetry.candidates[0]["candidate.model"] == "claude-opus-4-7"
    assert outcomes(telemetry) == [(0, "error", "overloaded"), (1, "success", None)]


@ways
def test_a_chain_within_a_chain_is_a_run_of_its_own(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """The inner chain's error is its first candidate's, and the outer candidate's own."""
    inner = bench.openai(Answer.openai_quota()).with_fallbacks([bench.anthropic(Answer.anthropic_overloaded())])
    last = bench.openai(Answer.ok("fine"), model="gpt-5.5-mini")
    assert bench.ask(inner.with_fallbacks([last]), way=way) == "fine"
    outer, nested = telemetry.starting("failover ")
    assert (outer["failover.outcome"], nested["failover.outcome"]) == ("fallback", "exhausted")
    assert nested.parent_id == telemetry.children(outer)[0].span_id
    assert not telemetry.markers


def test_the_provider_comes_from_a_known_host_before_the_sdks(telemetry: Telemetry, bench: Bench) -> None:
    assert telemetry
    model = bench.openai()
    key: Any = KEYS["openai"]
    groq = ChatOpenAI(model="llama", base_url="https://api.groq.com/openai/v1", api_key=key)
    assert candidate_of(groq) == Candidate("groq", "llama", "https://api.groq.com")
    assert candidate_of(model.bind(model="gpt-5.5-mini")).model == "gpt-5.5-mini"
    assert candidate_of(model.with_config(tags=["a"])) == candidate_of(model)
    field = ConfigurableField(id="model")
    assert candidate_of(model.configurable_fields(model_name=field)).model == ""
    assert candidate_of(model.configurable_alternatives(field, other=groq)).provider == ""
    assert candidate_of(RunnableParallel(a=model, b=groq)).provider == ""
    assert candidate_of(object()) == Candidate("", "", None, "object")


# --- errors handed on -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS[:2])
def test_an_earlier_error_raised_again_by_a_later_candidate_is_a_mismatch(
    telemetry: Telemetry, bench: Bench, way: str
) -> None:
    """`exception_key` puts the first candidate's error into the second's input."""

    def again(given: dict[str, Any]) -> Any:
        raise given["error"]

    first = PROMPT | bench.openai(Answer.openai_quota())
    second = PROMPT | bench.anthropic(Answer.anthropic_overloaded())
    chain = first.with_fallbacks([RunnableLambda(again), second], exception_key="error")
    assert isinstance(bench.ask(chain, {"word": "so"}, way), openai.RateLimitError)
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["error", "error", "error"]
    assert [span.verdict[0] for span in telemetry.candidates] == ["verified", "mismatch", "verified"]
    (marker,) = telemetry.markers
    assert (marker["failover.attribution.source.provider"], marker["failover.attribution.bound_by"]) == (
        "openai",
        "object",
    )


@ways
def test_an_earlier_error_in_the_input_is_no_mismatch(telemetry: Telemetry, bench: Bench, way: str) -> None:
    first = PROMPT | bench.openai(Answer.openai_quota())
    second = PROMPT | bench.anthropic(Answer.ok("fine"))
    assert bench.ask(first.with_fallbacks([second], exception_key="error"), {"word": "so"}, way) == "fine"
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS[2:])
@pytest.mark.parametrize("then", ["error", "cut"])
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_stream_that_breaks_midway_is_partial_and_not_failed_over(
    telemetry: Telemetry, bench: Bench, kind: str, then: Any, way: str
) -> None:
    broken = Answer.stream(["one", "two"], then=then)
    first: Any = bench.openai(broken) if kind == "openai" else bench.anthropic(broken)
    chain = first.with_fallbacks([bench.anthropic()])
    problem = bench.ask(chain, way=way)
    assert isinstance(problem, Exception)
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["partial"]
    # Some releases fail while they handle the error, and what leaves is theirs: nothing binds that.
    replaced = type(problem).__name__ == "ResponseNotRead"
    assert telemetry.candidates[0].verdict[0] == ("unverified" if replaced else "verified")
    assert not telemetry.markers
    run = telemetry.run
    assert (run["failover.outcome"], run["failover.stop.reason"]) == ("stopped", "it failed after output began")
    assert bench.asked == [[200], []]


def test_a_stream_that_is_dropped_has_served(telemetry: Telemetry, bench: Bench) -> None:
    chain = bench.openai(Answer.stream(["one", "two", "three"])).with_fallbacks([bench.anthropic()])
    chunks = chain.stream("hello")
    next(chunks)
    del chunks
    assert outcomes(telemetry) == [(0, "success", None)]
    assert telemetry.run["failover.outcome"] == "primary"


def test_an_asynchronous_stream_that_is_closed_has_served(telemetry: Telemetry, bench: Bench) -> None:
    chain = bench.openai(Answer.stream(["one", "two", "three"])).with_fallbacks([bench.anthropic()])

    async def some() -> None:
        chunks: Any = chain.astream("hello")
        await anext(chunks)
        await chunks.aclose()

    bench.loop.run_until_complete(some())
    bench.loop.run_until_complete(bench.loop.shutdown_asyncgens())
    assert outcomes(telemetry) == [(0, "success", None)]


# --- cancelled, side by side ------------------------------------------------------------------------------------------


def test_a_caller_that_gives_up_cancels_the_run(telemetry: Telemetry, bench: Bench) -> None:
    chain = bench.openai(Answer.hang()).with_fallbacks([bench.anthropic()])

    async def impatient() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(chain.ainvoke("hello"), 0.3)

    bench.loop.run_until_complete(impatient())
    assert outcomes(telemetry) == [(0, "cancelled", "cancelled")]
    assert (telemetry.run.status, telemetry.run["failover.outcome"]) == ("UNSET", "cancelled")
    assert bench.asked[1] == []


def test_runs_side_by_side_never_cross(telemetry: Telemetry, bench: Bench) -> None:
    one = bench.openai(Answer.openai_quota()).with_fallbacks([bench.anthropic(Answer.ok("one"))])
    two = bench.anthropic(Answer.anthropic_overloaded()).with_fallbacks([bench.openai(Answer.openai_server_error())])

    async def together() -> list[Any]:
        return await asyncio.gather(*(each.ainvoke("hello") for each in (one, two) * 3), return_exceptions=True)

    bench.loop.run_until_complete(together())
    assert sorted(by_run(telemetry)) == sorted(
        [("fallback", [(0, "error", "billing"), (1, "success", None)])] * 3
        + [("exhausted", [(0, "error", "overloaded"), (1, "error", "server_error")])] * 3
    )
    assert verdicts(telemetry) == {"verified"}


# --- batches ----------------------------------------------------------------------------------------------------------


def halves(bench: Bench, *first: Answer, whole: bool = False) -> Any:
    """Return a chain whose first candidate gives these answers, item by item, and whose second serves."""
    one, two = bench.openai(*first), bench.anthropic(Answer.ok("second"))
    if whole:
        return (PROMPT | one | StrOutputParser()).with_fallbacks([PROMPT | two | StrOutputParser()])
    return (PROMPT | one.with_fallbacks([two])) if not whole else None


@batches
@pytest.mark.parametrize("whole", [False, True])
def test_each_item_of_a_batch_is_a_run(telemetry: Telemetry, bench: Bench, way: str, *, whole: bool) -> None:
    chain = halves(bench, Answer.ok("first"), Answer.openai_quota(), Answer.ok("first"), whole=whole)
    items = [{"word": each} for each in "abc"]
    assert bench.ask(chain, items, way, config={"max_concurrency": 1}) == ["first", "second", "first"]
    served = ("primary", [(0, "success", None)])
    assert by_run(telemetry) == [served, ("fallback", [(0, "error", "billing"), (1, "success", None)]), served]
    assert verdicts(telemetry) == {"verified"}
    assert bench.asked == [[200, 429, 200], [200]]


@batches
@pytest.mark.parametrize("whole", [False, True])
def test_the_items_of_a_batch_never_cross(telemetry: Telemetry, bench: Bench, way: str, *, whole: bool) -> None:
    """All at once, in threads or tasks: each item's attempts hold one request each."""
    chain = halves(bench, Answer.openai_quota(), whole=whole)
    assert bench.ask(chain, [{"word": each} for each in "abcdefgh"], way) == ["second"] * 8
    assert by_run(telemetry) == [("fallback", [(0, "error", "billing"), (1, "success", None)])] * 8
    assert {span["failover.wire.requests"] for span in telemetry.candidates} == {1}
    assert verdicts(telemetry) == {"verified"}


@batches
def test_errors_of_a_batch_are_values_of_their_items(telemetry: Telemetry, bench: Bench, way: str) -> None:
    first = bench.openai(Answer.openai_quota(), Answer.ok("first"))
    chain = first.with_fallbacks([bench.anthropic(Answer.anthropic_overloaded())])
    options: Any = {"config": {"max_concurrency": 1}, "return_exceptions": True}
    failed, served = bench.ask(chain, ["a", "b"], way, **options)
    assert (type(failed).__name__.endswith("Error"), served) == (True, "first")
    assert by_run(telemetry) == [
        ("exhausted", [(0, "error", "billing"), (1, "error", "overloaded")]),
        ("primary", [(0, "success", None)]),
    ]
    assert verdicts(telemetry) == {"verified"}


@batches
def test_an_item_that_ends_the_batch_is_told_on_the_others(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """An error that is not eligible leaves the batch at once: the other items' candidates stay untried."""
    first = bench.openai(Answer.openai_quota(), Answer.openai_bad_key())
    chain = first.with_fallbacks([bench.anthropic()], exceptions_to_handle=(openai.RateLimitError,))
    problem = bench.ask(chain, ["a", "b"], way, config={"max_concurrency": 1})
    assert isinstance(problem, openai.AuthenticationError)
    assert by_run(telemetry) == [("stopped", [(0, "error", "billing")]), ("stopped", [(0, "error", "auth")])]
    reasons = [run["failover.stop.reason"] for run in telemetry.named("failover chat")]
    assert reasons == ["another item ended the batch", None]


@batches
def test_a_batch_of_functions_and_of_chains_within(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """A function that asks a model finds its item by the config that is current; an inner chain's items by theirs."""
    model = bench.openai(Answer.openai_quota())
    inner = RunnableLambda(lambda text: model.invoke(text)).with_fallbacks(
        [bench.anthropic(Answer.anthropic_overloaded())]
    )
    last = bench.openai(Answer.ok("last"), model="gpt-5.5-mini")
    assert bench.ask(inner.with_fallbacks([last]), ["a", "b"], way) == ["last", "last"]
    runs = telemetry.named("failover chat")
    inside = [run for run in runs if run["failover.outcome"] == "exhausted"]
    outside = [run for run in runs if run["failover.outcome"] == "fallback"]
    assert (len(inside), len(outside)) == (2, 2)
    parents = {span.span_id: span.parent_id for span in telemetry.candidates}
    assert {parents[run.parent_id] for run in inside if run.parent_id} == {run.span_id for run in outside}
    assert {
        span["failover.wire.requests"] for span in telemetry.candidates if span["candidate.provider"] == "openai"
    } == {1}
    assert not telemetry.markers


# --- the host ---------------------------------------------------------------------------------------------------------


def _told(bench: Bench, way: str) -> list[Any]:
    """Ask in several ways of going wrong; return what came out, and what the providers were asked."""
    chains = [
        bench.openai(Answer.openai_quota()).with_fallbacks([bench.anthropic(Answer.ok("fine"))]),
        bench.openai(Answer.openai_quota()).with_fallbacks([bench.anthropic(Answer.anthropic_overloaded())]),
        bench.openai(Answer.openai_bad_key()).with_fallbacks([bench.anthropic()], exceptions_to_handle=(KeyError,)),
        (PROMPT | bench.openai(Answer.openai_quota())).with_fallbacks([PROMPT | bench.anthropic()], exception_key="e"),
    ]
    given = [["a", "b"] if way in BATCHES else "a", [{"word": "a"}] if way in BATCHES else {"word": "a"}]
    answers = [bench.ask(chain, given[chain is chains[3]], way) for chain in chains]
    return [[(type(each), re.sub(r"req_\w+", "req", str(each))) for each in answers], bench.asked]


@pytest.mark.parametrize("way", WAYS + BATCHES)
def test_nothing_is_different_with_us(bench: Bench, way: str) -> None:
    """The same answers, errors, texts and requests, without us, with us, and after us."""
    seen = []
    for instrumented in (False, True, False):
        with ExitStack() as stack:
            if instrumented:
                FailoverInstrumentor().instrument()
                stack.callback(FailoverInstrumentor().uninstrument)
            seen.append(_told(Bench(stack), way))
    assert bench.asked == []
    assert seen[0] == seen[1] == seen[2]


def test_the_error_that_leaves_is_the_same_object(telemetry: Telemetry, bench: Bench) -> None:
    errors: list[Exception] = []

    def fails(_: object) -> Any:
        errors.append(ValueError(str(len(errors))))
        raise errors[-1]

    chain = RunnableLambda(fails).with_fallbacks([RunnableLambda(fails)])
    assert bench.ask(chain) is errors[0]
    assert bench.ask(chain, ["a"], "batch") is errors[3]
    assert len(telemetry.starting("failover ")) == 2
