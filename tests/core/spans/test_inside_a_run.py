"""Spans that a loop makes inside a run, around its bare calls or beside them: each is its candidate's, or says nothing."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import StatusCode, set_span_in_context, use_span

from otel_failover import Candidate, FailoverInstrumentor, Loop, failover_run
from otel_failover._core.spans import registry
from otel_failover.testing.providers import Answer
from tests.host.test_coexistence import needs_hook
from tests.support.hosts import stand
from tests.support.spans import SerialisingExporter, Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.hosts import Stand

BUSY = "No replica of acme-large in pool eu-2 has a free slot for this request"
THEFT = ("mismatch", "stale_error")
OWN = ("verified", None)
REPORT = ("unverified", "report")
NOTHING = (None, None)


def named(each: Stand, *, provider: str | None = None, operation: str | None = None) -> dict[str, Any]:
    """Return the attributes by which a span names a candidate."""
    found = {
        "gen_ai.provider.name": provider or each.candidate.provider,
        "gen_ai.request.model": each.candidate.model,
        "gen_ai.operation.name": operation,
    }
    return {name: value for name, value in found.items() if value is not None}


def tell(telemetry: Telemetry, name: str, attributes: dict[str, Any], problem: BaseException | str) -> None:
    """Make the span that a loop tells a failure by."""
    with telemetry.tracer.start_as_current_span(name, attributes=attributes) as span:
        if isinstance(problem, BaseException):
            span.record_exception(problem)
        span.set_status(StatusCode.ERROR, str(problem))


@contextlib.contextmanager
def telling(
    telemetry: Telemetry, name: str, attributes: dict[str, Any], which: Callable[[Exception], Any]
) -> Iterator[Any]:
    """A loop's own span around what it asks, which carries the error that is chosen."""
    with telemetry.tracer.start_as_current_span(name, attributes=attributes, record_exception=False, set_status_on_exception=False) as span:  # fmt: skip
        try:
            yield span
        except Exception as problem:
            told = which(problem)
            if isinstance(told, BaseException):
                span.record_exception(told)
            span.set_status(StatusCode.ERROR, str(told))
            raise


def failed(ask: Callable[[], Any]) -> Exception:
    """Ask somebody who fails; return what the SDK raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the SDK's own
        ask()
    return caught.value


def verdicts(telemetry: Telemetry) -> dict[str, tuple[str | None, str | None]]:
    """Return the verdict on each of the application's spans, by name."""
    return {span.name: span.verdict for span in telemetry.spans if span.scope == "application"}


@pytest.fixture
def pair() -> Iterator[tuple[Stand, Stand]]:
    """OpenAI has no quota, Anthropic hangs."""
    with stand("openai", *[Answer.openai_quota()] * 3) as first, stand("anthropic", *[Answer.hang()] * 3, timeout=0.15) as second:  # fmt: skip
        yield first, second


def chain(*stands: Stand) -> list[Candidate]:
    return [each.candidate for each in stands]


def tree(telemetry: Telemetry) -> list[tuple[str, str | None, str, tuple[str | None, str | None]]]:
    """Return the whole trace: name, parent's name, status and verdict, in the order of their start."""
    by_id = {span.span_id: span.name for span in telemetry.spans}
    spans = sorted(telemetry.spans, key=lambda span: (span.start, span.name))
    return [(span.name, by_id.get(span.parent_id or ""), span.status, span.verdict) for span in spans]


# --- the incident, with three lines -----------------------------------------------------------------------------------


@needs_hook
def test_the_incident_after_the_call(telemetry: Telemetry, pair: tuple[Stand, Stand]) -> None:
    """Three lines, and a loop that tells each failure by a span of its own, with the first error it ever got."""
    first, second = pair
    with telemetry.tracer.start_as_current_span("POST /chat"), failover_run("chat", chain=chain(first, second)):
        shared = failed(first.ask)
        tell(telemetry, "openai failed", named(first), shared)
        failed(second.ask)
        tell(telemetry, "anthropic failed", named(second), shared)
    assert tree(telemetry) == [
        ("POST /chat", None, "UNSET", NOTHING),
        ("failover chat", "POST /chat", "ERROR", NOTHING),
        ("candidate openai", "failover chat", "ERROR", OWN),
        ("chat gpt-5.5", "candidate openai", "ERROR", OWN),
        ("openai failed", "failover chat", "ERROR", OWN),
        ("candidate anthropic", "failover chat", "ERROR", OWN),
        ("chat claude-opus-4-7", "candidate anthropic", "ERROR", OWN),
        ("anthropic failed", "failover chat", "ERROR", THEFT),
        ("failover.attribution.mismatch", "anthropic failed", "ERROR", (None, "stale_error")),
    ]
    (offender,) = telemetry.named("anthropic failed")
    assert {name: value for name, value in offender.attributes.items() if name.startswith("failover.")} == {
        "failover.attribution.verdict": "mismatch",
        "failover.attribution.rule": "stale_error",
        "failover.attribution.mismatch": True,
        "failover.attribution.expected.provider": "anthropic",
        "failover.attribution.bound_by": "text",
        "failover.attribution.source.provider": "openai",
        "failover.attribution.source.index": 0,
        "failover.attribution.source.span_id": telemetry.candidates[0].span_id,
    }
    (marker,) = telemetry.markers
    assert (marker["candidate.provider"], marker["candidate.model"], marker["candidate.index"]) == ("anthropic", "claude-opus-4-7", 1)  # fmt: skip
    assert marker["failover.attribution.own"].startswith("no response in 0.")
    counted = {key: count for key, count in telemetry.metric("failover.attribution.mismatches").items() if count}
    assert list(counted.values()) == [1]
    assert {value for _, value in next(iter(counted))} == {"anthropic", "openai", "stale_error"}


@needs_hook
def test_the_incident_around_the_call(telemetry: Telemetry, pair: tuple[Stand, Stand]) -> None:
    first, second = pair
    shared: list[Exception] = []

    def first_error(problem: Exception) -> Exception:
        shared.append(problem)
        return shared[0]

    with failover_run("chat", chain=chain(first, second)):
        for each in pair:
            with contextlib.suppress(Exception), telling(telemetry, f"ask {each.candidate.provider}", named(each), first_error):  # fmt: skip
                each.ask()
    assert tree(telemetry) == [
        ("failover chat", None, "ERROR", NOTHING),
        ("ask openai", "failover chat", "ERROR", OWN),
        ("candidate openai", "failover chat", "ERROR", OWN),
        ("chat gpt-5.5", "candidate openai", "ERROR", OWN),
        ("ask anthropic", "failover chat", "ERROR", THEFT),
        ("candidate anthropic", "failover chat", "ERROR", OWN),
        ("chat claude-opus-4-7", "candidate anthropic", "ERROR", OWN),
        ("failover.attribution.mismatch", "ask anthropic", "ERROR", (None, "stale_error")),
    ]


class Router:
    """A loop that nobody edits: it shares its last error, and tells by spans."""

    tracer: Any = None

    def __init__(self, *stands: Stand, honest: bool) -> None:
        self.stands, self.honest = stands, honest

    def route(self) -> str:
        shared: list[Exception] = []
        for each in self.stands:
            try:
                each.ask()
            except Exception as problem:  # noqa: BLE001 - the loop goes on
                shared.append(problem)
                told = problem if self.honest else shared[0]
                with Router.tracer.start_as_current_span(f"{each.candidate.provider} failed", attributes=named(each)) as span:  # fmt: skip
                    span.set_status(StatusCode.ERROR, str(told))
            else:
                return each.candidate.provider
        return "nobody"


@needs_hook
@pytest.mark.parametrize("honest", [True, False])
def test_a_configured_loop_without_attempts(pair: tuple[Stand, Stand], honest: bool) -> None:
    exporter = SerialisingExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider, loops=[Loop(run=f"{__name__}:Router.route")])
    try:
        Router.tracer = provider.get_tracer("application")
        assert Router(*pair, honest=honest).route() == "nobody"
    finally:
        FailoverInstrumentor().uninstrument()
    found = Telemetry(provider, exporter, None)  # type: ignore[arg-type]
    assert found.run["failover.library"] == "configured"
    assert verdicts(found) == {"openai failed": OWN, "anthropic failed": OWN if honest else THEFT}
    assert len(found.markers) == (0 if honest else 1)


# --- around attempts at one candidate ---------------------------------------------------------------------------------


@needs_hook
@pytest.mark.parametrize("honest", [True, False])
def test_one_model_at_two_hosts_under_the_sdks_name(telemetry: Telemetry, honest: bool) -> None:
    """Instrumentors say `openai` for whatever its SDK asks: no name tells two hosts apart, where the call is made does."""
    texts = "the first host is out of workers for this model", "the second host has no such deployment at all"
    with stand("groq", Answer.error(503, texts[0]), model="m") as first, stand("together_ai", Answer.error(404, texts[1]), model="m") as second:  # fmt: skip
        errors: list[Exception] = []

        def choose(problem: Exception) -> Exception:
            errors.append(problem)
            return errors[-1 if honest else 0]

        with failover_run("chat", chain=chain(first, second)):
            for number, each in enumerate((first, second)):
                with contextlib.suppress(Exception), telling(
                    telemetry, f"chat m {number}", named(each, provider="openai", operation="chat"),
                    choose,
                ):  # fmt: skip
                    each.ask()
    assert verdicts(telemetry) == {"chat m 0": OWN, "chat m 1": OWN if honest else THEFT}
    assert len(telemetry.markers) == (not honest)
    for marker in telemetry.markers:
        assert (marker["candidate.provider"], marker["failover.attribution.source.provider"]) == ("together_ai", "groq")


@needs_hook
@pytest.mark.parametrize("way", ["around one", "around several"])
def test_a_class_of_exception_that_its_name_cannot_have(telemetry: Telemetry, way: str) -> None:
    """An inference that is called by another's name than it asks says so by the class of its error: it is no theft."""
    with stand("gcp.gemini", Answer.hang(), timeout=0.15) as first, stand("anthropic", Answer.anthropic_overloaded()) as second:  # fmt: skip
        with failover_run("chat", chain=chain(first, second)):
            outside = telemetry.tracer.start_as_current_span("chat", attributes=named(first, operation="chat"))
            with outside as span:
                if way == "around several":
                    failed(first.ask)
                problem = failed(second.ask)
                span.record_exception(problem)
                span.set_status(StatusCode.ERROR, str(problem))
    assert [span.verdict for span in telemetry.named("chat")] == [OWN if way == "around one" else REPORT]
    assert not telemetry.markers


@needs_hook
@pytest.mark.parametrize("name", [0, 1])
@pytest.mark.parametrize("error", [0, 1])
def test_around_one_it_is_that_ones_whatever_it_is_called(telemetry: Telemetry, name: int, error: int) -> None:
    with stand("openai", Answer.openai_quota()) as first, stand("anthropic", Answer.anthropic_credit_too_low()) as second:  # fmt: skip
        pair = first, second
        with failover_run("chat", chain=chain(*pair)):
            errors = [failed(first.ask)]
            with contextlib.suppress(Exception), telling(
                telemetry, "ask", named(pair[name]), lambda problem: (*errors, problem)[error]
            ):  # fmt: skip
                second.ask()
    assert verdicts(telemetry) == {"ask": OWN if error else THEFT}


@needs_hook
def test_openinference_names_the_sdk_by_a_key_of_its_own(telemetry: Telemetry, pair: tuple[Stand, Stand]) -> None:
    first, second = pair
    names = {"llm.system": "openai", "openinference.span.kind": "LLM"}
    with failover_run("chat", chain=chain(first, second)):
        shared = failed(first.ask)
        for name, told in (("honest", None), ("lie", shared)):
            with contextlib.suppress(Exception), telling(telemetry, name, names, lambda own: told or own):  # noqa: B023
                second.ask()
        tell(telemetry, "beside", names, shared)
    assert verdicts(telemetry) == {"honest": OWN, "lie": THEFT, "beside": NOTHING}


def test_a_span_that_names_nobody_is_not_judged(telemetry: Telemetry, pair: tuple[Stand, Stand]) -> None:
    """A step of the application's: what it tells is its own affair."""
    first, second = pair
    with failover_run("chat", chain=chain(first, second)):
        shared = failed(first.ask)
        with contextlib.suppress(Exception), telling(telemetry, "step 2", {}, lambda _: shared):
            second.ask()
        tell(telemetry, "gave up", {}, shared)
    assert verdicts(telemetry) == {"step 2": NOTHING, "gave up": NOTHING}
    assert not telemetry.markers


def test_a_span_of_another_host_is_not_judged(telemetry: Telemetry, pair: tuple[Stand, Stand]) -> None:
    first, second = pair
    elsewhere = {"server.address": "search.internal", "server.port": 443}
    with failover_run("chat", chain=chain(first, second)):
        shared = failed(first.ask)
        failed(second.ask)
        tell(telemetry, "beside", named(second) | elsewhere, shared)
    assert verdicts(telemetry) == {"beside": NOTHING}


@needs_hook
def test_a_retry_by_the_loop_repeats_what_its_candidate_said_before(telemetry: Telemetry) -> None:
    """The same candidate's own earlier error is a replay, on a span around one try or around both."""
    answers = Answer.error(503, BUSY), Answer.hang()
    with stand("openai", *answers, timeout=0.15) as only:
        with failover_run("chat", chain=chain(only)), telemetry.tracer.start_as_current_span("both", attributes=named(only)) as both:  # fmt: skip
            told = failed(only.ask)
            with contextlib.suppress(Exception), telling(telemetry, "second", named(only), lambda _: told):
                only.ask()
            both.set_status(StatusCode.ERROR, str(told))
    assert verdicts(telemetry)["second"][0] in ("verified", "unverified")
    assert verdicts(telemetry)["both"] == OWN
    assert not telemetry.markers


@needs_hook
def test_an_event_from_before_the_call_says_why_it_is_made(telemetry: Telemetry, pair: tuple[Stand, Stand]) -> None:
    """ "Falling back, since: …", then the call, which fails in its own way."""
    first, second = pair
    with failover_run("chat", chain=chain(first, second)):
        why = failed(first.ask)
        with contextlib.suppress(Exception), telling(telemetry, "ask", named(second), lambda problem: problem) as span:
            span.record_exception(why)
            second.ask()
        with (
            contextlib.suppress(Exception),
            telling(telemetry, "again", named(second), lambda _: why) as span,
        ):
            with contextlib.suppress(Exception):
                second.ask()
            span.record_exception(why)
            second.ask()
    assert verdicts(telemetry) == {"ask": OWN, "again": THEFT}


@needs_hook
@pytest.mark.parametrize("late", [False, True])
def test_inside_an_attempt_an_event_says_why_only_before_the_call(
    telemetry: Telemetry, pair: tuple[Stand, Stand], late: bool
) -> None:
    first, second = pair
    with failover_run("chat", chain=chain(first, second)) as run:
        with run.attempt(first.candidate):
            why = failed(first.ask)
        with run.attempt(second.candidate), telemetry.tracer.start_as_current_span("step") as span:
            if not late:
                span.record_exception(why)
            failed(second.ask)
            if late:
                span.record_exception(why)
            span.set_status(StatusCode.ERROR)
    assert verdicts(telemetry) == {"step": THEFT if late else OWN}


# --- around attempts at several ---------------------------------------------------------------------------------------


@needs_hook
@pytest.mark.parametrize(
    ("name", "error", "verdict"),
    [
        (0, 0, OWN), (0, 1, THEFT), (0, 2, REPORT),
        (1, 0, THEFT), (1, 1, OWN), (1, 2, THEFT),
        (2, 0, THEFT), (2, 1, THEFT), (2, 2, OWN),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["in the run", "around the run"])
def test_around_several(telemetry: Telemetry, where: str, name: int, error: int, verdict: tuple[str, str]) -> None:
    """An agent's span that names its primary ends with the last one's error; any other that is not its own is a lie."""
    third = stand("gcp.gemini", Answer.error(500, "An internal error has occurred while the model was loading"))
    with stand("openai", Answer.openai_quota()) as a, stand("anthropic", Answer.anthropic_credit_too_low()) as b, third as c:  # fmt: skip
        stands = a, b, c
        outside = telemetry.tracer.start_as_current_span("agent") if where == "around the run" else contextlib.nullcontext()  # fmt: skip
        with outside as around, failover_run("chat", chain=chain(*stands)):
            with contextlib.nullcontext(around) if around else telemetry.tracer.start_as_current_span("agent") as span:
                span.set_attributes(named(stands[name]))
                errors = [failed(each.ask) for each in stands]
                span.set_status(StatusCode.ERROR, str(errors[error]))
    assert verdicts(telemetry) == {"agent": verdict}
    assert len(telemetry.markers) == (verdict == THEFT)


@needs_hook
def test_a_recursive_loop_is_honest(telemetry: Telemetry) -> None:
    """Each candidate's span stands around the next one's, and ends with what left it."""
    thirds = stand("gcp.gemini", Answer.error(500, "An internal error has occurred while the model was loading"))
    with stand("openai", Answer.openai_quota()) as a, stand("anthropic", Answer.anthropic_credit_too_low()) as b, thirds as c:  # fmt: skip

        def ask(stands: list[Stand]) -> None:
            with telemetry.tracer.start_as_current_span(f"ask {stands[0].candidate.provider}", attributes=named(stands[0])):  # fmt: skip
                try:
                    stands[0].ask()
                except Exception:
                    if len(stands) == 1:
                        raise
                    ask(stands[1:])

        with contextlib.suppress(Exception), failover_run("chat", chain=chain(a, b, c)):
            ask([a, b, c])
    assert verdicts(telemetry) == {"ask openai": REPORT, "ask anthropic": REPORT, "ask gcp.gemini": OWN}
    assert not telemetry.markers


@needs_hook
def test_a_short_answer_that_ends_the_operation_is_a_report(telemetry: Telemetry) -> None:
    """`Overloaded` binds nothing by its text; what the SDK made of it is the last one's all the same."""
    with stand("openai", Answer.hang(), timeout=0.15) as first, stand("anthropic", Answer.anthropic_overloaded()) as second:  # fmt: skip
        with failover_run("chat", chain=chain(first, second)), telemetry.tracer.start_as_current_span("agent", attributes=named(first)) as span:  # fmt: skip
            failed(first.ask)
            span.set_status(StatusCode.ERROR, str(failed(second.ask)))
            span.set_attribute("http.response.status_code", 529)
    assert verdicts(telemetry) == {"agent": REPORT}


# --- beside calls -----------------------------------------------------------------------------------------------------


@needs_hook
def test_beside_it_is_held_against_all_attempts_so_far(telemetry: Telemetry, pair: tuple[Stand, Stand]) -> None:
    first, second = pair
    with failover_run("chat", chain=chain(first, second)):
        one = failed(first.ask)
        tell(telemetry, "falling back", named(second), one)  # nobody has asked it yet
        two = failed(second.ask)
        again = failed(first.ask)
        tell(telemetry, "second failed", named(second), two)
        tell(telemetry, "on to the second again, since the first said no", named(second), again)
        failed(second.ask)
        tell(telemetry, "second failed too", named(second), one)
        tell(telemetry, "first failed", named(first), one)
    assert verdicts(telemetry) == {
        "falling back": NOTHING,
        "second failed": OWN,
        "on to the second again, since the first said no": REPORT,
        "second failed too": THEFT,
        "first failed": OWN,
    }
    assert len(telemetry.markers) == 1


@needs_hook
@pytest.mark.parametrize("honest", [True, False])
def test_a_span_that_is_open_while_its_candidate_is_asked(
    telemetry: Telemetry, pair: tuple[Stand, Stand], honest: bool
) -> None:
    """Started and ended by hand, it is current nowhere: what it tells is no reason to go on, for that it tells too late."""
    first, second = pair
    with failover_run("chat", chain=chain(first, second)):
        shared = failed(first.ask)
        span = telemetry.tracer.start_span("ask anthropic", attributes=named(second))
        own = failed(second.ask)
        span.set_status(StatusCode.ERROR, str(own if honest else shared))
        span.end()
    assert verdicts(telemetry) == {"ask anthropic": OWN if honest else THEFT}


@needs_hook
def test_beside_another_operation_is_not_judged(telemetry: Telemetry, pair: tuple[Stand, Stand]) -> None:
    first, second = pair
    with failover_run("chat", chain=chain(first, second)):
        shared = failed(first.ask)
        failed(second.ask)
        for operation in ("embeddings", "execute_tool", "invoke_agent"):
            tell(telemetry, operation, named(second, operation=operation), shared)
        for operation in ("chat", "generate_content"):
            tell(telemetry, operation, named(second, operation=operation), shared)
    found = verdicts(telemetry)
    assert {found[name] for name in ("embeddings", "execute_tool", "invoke_agent")} == {NOTHING}
    assert {found["chat"], found["generate_content"]} == {THEFT}


def test_beside_somebody_who_is_not_in_the_run(telemetry: Telemetry, pair: tuple[Stand, Stand]) -> None:
    first, second = pair
    with failover_run("chat", chain=chain(first, second)):
        shared = failed(first.ask)
        failed(second.ask)
        tell(telemetry, "mistral", {"gen_ai.provider.name": "mistral_ai", "gen_ai.request.model": "large"}, shared)
        tell(telemetry, "embed", {"gen_ai.provider.name": "anthropic", "gen_ai.request.model": "embedder"}, shared)
    assert verdicts(telemetry) == {"mistral": NOTHING, "embed": NOTHING}


def test_a_run_that_served_and_failed_nowhere_is_not_looked_at(telemetry: Telemetry) -> None:
    with stand("openai", Answer.ok(), Answer.ok()) as only, failover_run("chat", chain=chain(only)):
        only.ask()
        with telemetry.tracer.start_as_current_span("around", attributes=named(only)) as span:
            span.set_attribute("gen_ai.response.id", only.ask().id)
    assert verdicts(telemetry) == {"around": NOTHING}


@needs_hook
def test_an_earlier_runs_error_is_found_on_a_loops_own_span(telemetry: Telemetry) -> None:
    """The session that is shared lives longer than the request."""
    with stand("openai", Answer.openai_server_error()) as first, stand("anthropic", Answer.anthropic_rate_limit()) as second:  # fmt: skip
        with failover_run("chat", chain=chain(first)):
            shared = failed(first.ask)
        with failover_run("chat", chain=chain(first, second)):
            failed(second.ask)
            tell(telemetry, "anthropic failed", named(second), shared)
    assert verdicts(telemetry) == {"anthropic failed": THEFT}


# --- where and when ---------------------------------------------------------------------------------------------------


@needs_hook
@pytest.mark.parametrize("honest", [True, False])
def test_in_tasks(telemetry: Telemetry, pair: tuple[Stand, Stand], honest: bool) -> None:
    first, second = pair

    async def ask(each: Stand, shared: list[Exception]) -> None:
        try:
            with telemetry.tracer.start_as_current_span("step"):
                await asyncio.create_task(each.aask())
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            shared.append(problem)
        told = shared[-1 if honest else 0]
        tell(telemetry, f"{each.candidate.provider} failed", named(each), told)

    async def loop() -> None:
        with failover_run("chat", chain=chain(first, second)):
            shared: list[Exception] = []
            for each in pair:
                await asyncio.create_task(ask(each, shared))
        for each in pair:
            await each.aclose()

    asyncio.run(loop())
    found = verdicts(telemetry)
    assert (found["openai failed"], found["anthropic failed"]) == (OWN, OWN if honest else THEFT)


@needs_hook
@pytest.mark.parametrize("honest", [True, False])
def test_a_deadline_around_a_bare_call(telemetry: Telemetry, pair: tuple[Stand, Stand], honest: bool) -> None:
    """`wait_for` leaves the attempt cancelled: how that ended is known to the run's next step, and to the loop's span."""
    first, second = pair

    async def loop() -> None:
        with failover_run("chat", chain=chain(first, second)):
            try:
                await first.aask()
            except Exception as problem:  # noqa: BLE001 - the loop goes on
                shared = problem
            try:
                await asyncio.wait_for(second.aask(timeout=20), 0.1)
            except asyncio.TimeoutError:
                tell(telemetry, "anthropic failed", named(second), "timed out" if honest else shared)
        for each in pair:
            await each.aclose()

    asyncio.run(loop())
    assert verdicts(telemetry)["anthropic failed"][0] == ("verified" if honest else "mismatch")
    assert len(telemetry.markers) == (not honest)


@needs_hook
@pytest.mark.parametrize("honest", [True, False])
def test_in_threads_with_their_context(telemetry: Telemetry, pair: tuple[Stand, Stand], honest: bool) -> None:
    first, second = pair
    with concurrent.futures.ThreadPoolExecutor(2) as pool, failover_run("chat", chain=chain(first, second)):
        shared = pool.submit(contextvars.copy_context().run, failed, first.ask).result()

        def work() -> None:
            with contextlib.suppress(Exception), telling(
                telemetry, "ask", named(second), lambda problem: problem if honest else shared
            ):  # fmt: skip
                second.ask()

        pool.submit(contextvars.copy_context().run, work).result()
    assert verdicts(telemetry) == {"ask": OWN if honest else THEFT}


@needs_hook
@pytest.mark.parametrize("honest", [True, False])
def test_a_hedged_attempt_that_is_open_proves_nothing(telemetry: Telemetry, honest: bool) -> None:
    """While the named candidate may still say the same, nobody is blamed; what it has said by then is its own."""
    with stand("openai", Answer.error(503, BUSY)) as first, stand("anthropic", Answer.hang(), timeout=0.6) as second:
        with failover_run("chat", chain=chain(first, second)):
            started = threading.Event()

            def hedge() -> None:
                started.set()
                failed(second.ask)

            thread = threading.Thread(target=contextvars.copy_context().run, args=(hedge,))
            thread.start()
            started.wait()
            while not second.server.log:
                pass
            shared = failed(first.ask)
            tell(telemetry, "early", named(second), "slow" if honest else shared)
            thread.join()
            tell(telemetry, "late", named(second), shared)
    found = verdicts(telemetry)
    assert found["early"] == (("unverified", "evidence_incomplete") if honest else REPORT)
    assert found["late"] == THEFT


@needs_hook
def test_a_span_that_outlives_its_run_is_judged_by_it(telemetry: Telemetry, pair: tuple[Stand, Stand]) -> None:
    first, second = pair
    with failover_run("chat", chain=chain(first, second)):
        shared = failed(first.ask)
        failed(second.ask)
        late = telemetry.tracer.start_span("late", attributes=named(second))
    tell(telemetry, "after", named(second), shared)
    late.set_status(StatusCode.ERROR, str(shared))
    late.end()
    assert verdicts(telemetry) == {"late": THEFT, "after": NOTHING}


@needs_hook
@pytest.mark.parametrize("honest", [True, False])
def test_a_generator_as_a_run(telemetry: Telemetry, pair: tuple[Stand, Stand], honest: bool) -> None:
    first, second = pair

    @failover_run("chat", chain=chain(first, second))
    def loop() -> Iterator[str]:
        shared = failed(first.ask)
        yield "falling back"
        own = failed(second.ask)
        yield "giving up"
        tell(telemetry, "anthropic failed", named(second), own if honest else shared)

    for _ in loop():
        tell(telemetry, "elsewhere", named(second), "a consumer's own error, which is none of the run's")
    found = verdicts(telemetry)
    assert found["anthropic failed"] == (OWN if honest else THEFT)
    assert found["elsewhere"] == NOTHING


@needs_hook
@pytest.mark.parametrize("honest", [True, False])
def test_a_run_inside_an_attempt(telemetry: Telemetry, pair: tuple[Stand, Stand], honest: bool) -> None:
    """A candidate that is itself a loop: its own spans stand in its own run."""
    first, second = pair
    with failover_run("chat", chain=["acme/router"]) as outer, outer.attempt("acme/router"):
        with failover_run("chat", chain=chain(first, second)):
            shared = failed(first.ask)
            own = failed(second.ask)
            tell(telemetry, "anthropic failed", named(second), own if honest else shared)
    assert verdicts(telemetry)["anthropic failed"] == (OWN if honest else THEFT)


@needs_hook
@pytest.mark.parametrize("honest", [True, False])
def test_a_run_inside_a_run(telemetry: Telemetry, pair: tuple[Stand, Stand], honest: bool) -> None:
    first, second = pair
    with failover_run("answer"), telemetry.tracer.start_as_current_span("agent", attributes=named(first)) as agent:
        with failover_run("chat", chain=chain(first, second)):
            shared = failed(first.ask)
            own = failed(second.ask)
            tell(telemetry, "anthropic failed", named(second), own if honest else shared)
        agent.set_status(StatusCode.ERROR, str(own))
    assert verdicts(telemetry)["anthropic failed"] == (OWN if honest else THEFT)
    assert verdicts(telemetry)["agent"] == REPORT


@needs_hook
@pytest.mark.parametrize("honest", [True, False])
def test_declared_attempts_are_told_of_beside_too(
    telemetry: Telemetry, pair: tuple[Stand, Stand], honest: bool
) -> None:
    first, second = pair
    with failover_run("chat", chain=chain(first, second)) as run:
        errors = []
        for each in pair:
            try:
                with run.attempt(each.candidate):
                    each.ask()
            except Exception as problem:  # noqa: BLE001 - the loop goes on
                errors.append(problem)
        tell(telemetry, "anthropic failed", named(second), errors[-1 if honest else 0])
    assert verdicts(telemetry) == {"anthropic failed": OWN if honest else THEFT}


@needs_hook
def test_attempts_inside_a_span_that_ends_after_the_one_around_it(
    telemetry: Telemetry, pair: tuple[Stand, Stand]
) -> None:
    """A step that outlives its agent's span: what it asks was asked inside that, too, until it ended."""
    first, second = pair
    with failover_run("chat", chain=chain(first, second)):
        shared = failed(first.ask)
        agent = telemetry.tracer.start_span("agent", attributes=named(first))
        step = telemetry.tracer.start_span("step", set_span_in_context(agent), attributes=named(second))
        with use_span(step, end_on_exit=False):
            failed(second.ask)
        agent.set_status(StatusCode.ERROR, str(shared))
        agent.end()
        step.set_status(StatusCode.ERROR, str(shared))
        step.end()
    assert verdicts(telemetry) == {"agent": THEFT, "step": THEFT}


@needs_hook
@pytest.mark.parametrize("order", ["exporter first", "exporter last"])
@pytest.mark.parametrize("way", ["after", "around", "nested"])
def test_processors_in_a_pool_of_threads(order: str, way: str, pair: tuple[Stand, Stand]) -> None:
    """There is no context where they run: the parent tells in which run a span starts."""
    first, second = pair
    exporter = SerialisingExporter()
    provider = TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor(num_threads=4))
    if order == "exporter first":
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider)
    if order == "exporter last":
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    found = Telemetry(provider, exporter, None)  # type: ignore[arg-type]
    try:
        with failover_run("chat", chain=chain(first, second)):
            shared = failed(first.ask)
            if way == "around":
                with contextlib.suppress(Exception), telling(found, "lie", named(second), lambda _: shared):
                    second.ask()
            else:
                failed(second.ask)
                with found.tracer.start_as_current_span("step") if way == "nested" else contextlib.nullcontext():
                    tell(found, "lie", named(second), shared)
        provider.force_flush()
    finally:
        FailoverInstrumentor().uninstrument()
        provider.shutdown()
    assert verdicts(found)["lie"] == THEFT


def test_nothing_is_kept_of_spans_that_have_ended(telemetry: Telemetry, pair: tuple[Stand, Stand]) -> None:
    """Each span is the next one's parent, and only the last one is open."""
    before = len(registry.bound)
    first, second = pair
    with failover_run("chat", chain=chain(first, second)):
        context: Any = None
        last: Any = None
        for number in range(50):
            span = telemetry.tracer.start_span(f"step {number}", context)
            if last is not None:
                last.end()
            context, last = set_span_in_context(span), span
        (place,) = list(registry.bound.values())[before:]
        assert isinstance(place, registry.Place)
        assert place.above is None or place.above.above is None  # of a pool's run, the place of its own span
        last.end()
    assert len(registry.bound) == before
