"""Loops that are only configured: the host's package is not edited, and shows what an edited one would."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import pickle
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_failover import Candidate, FailoverInstrumentor, Loop, failover_run, instrumentor
from otel_failover.integrations import adapters
from otel_failover.integrations.patching import PATCHED, SKIPPED, WAITING
from otel_failover.testing.providers import Answer
from tests.integrations.loops.configured.acme import router as acme
from tests.integrations.loops.configured.acme.router import Router, RouterError, Session, Vendor
from tests.support.hosts import stand
from tests.support.process import in_a_process
from tests.support.spans import SerialisingExporter, Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOME = "tests.integrations.loops.configured.acme.router"
NAMES = ("openai", "anthropic", "gcp.gemini")


def loop(run: str, attempt: str | None = None, **paths: Any) -> Loop:
    """Configure a loop of the host's, with the vendor's own names."""
    if attempt is not None:
        paths = {"provider": "vendor.label", "model": "vendor.name", **paths}
    return Loop(run=f"{HOME}:{run}", attempt=attempt and f"{HOME}:{attempt}", **paths)


@contextmanager
def instrumented(*loops: Any, **options: Any) -> Iterator[Telemetry]:
    exporter, provider = SerialisingExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider, loops=list(loops), **options)
    try:
        yield Telemetry(provider, exporter, None)  # type: ignore[arg-type]
    finally:
        FailoverInstrumentor().uninstrument()
        provider.shutdown()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def vendors(stack: ExitStack, *answers: Answer) -> list[Vendor]:
    found = []
    for name, answer in zip(NAMES, answers, strict=False):
        each = stack.enter_context(stand(name, answer, timeout=0.15 if answer.kind == "hang" else 5.0))
        found.append(Vendor(name, each.candidate.model, each))
    return found


def incident(stack: ExitStack) -> list[Vendor]:
    """OpenAI answers its real quota error, Anthropic hangs, Gemini serves."""
    return vendors(stack, Answer.openai_quota(), Answer.hang(), Answer.ok("served"))


def failing(stack: ExitStack) -> list[Vendor]:
    return vendors(stack, Answer.openai_quota(), Answer.ok("served"))


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def shows_a_fallback(telemetry: Telemetry, name: str) -> None:
    """The run and its two candidates: what an edited loop shows."""
    assert telemetry.run.name == "failover chat"
    assert telemetry.run["failover.library"] == "configured"
    assert telemetry.run["failover.loop.name"] == f"{HOME}:{name}"
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.run["candidate.provider"] == "anthropic"
    assert [(each.name, each["candidate.outcome"]) for each in telemetry.candidates] == [
        ("candidate openai", "error"),
        ("candidate anthropic", "success"),
    ]
    assert all(each.parent_id == telemetry.run.span_id for each in telemetry.candidates)
    assert all(each.verdict[0] == "verified" for each in telemetry.candidates)
    assert [each["failover.wire.requests"] for each in telemetry.candidates] == [1, 1]


# --- the incident -----------------------------------------------------------------------------------------------------


def shows_the_theft(telemetry: Telemetry) -> None:
    first, second, third = telemetry.candidates
    assert first.verdict == ("verified", None)
    assert (first["failover.reason.code"], first["http.response.status_code"]) == ("billing", 429)
    assert second.verdict == ("mismatch", "stale_error")
    assert second["failover.attribution.source.span_id"] == first.span_id
    assert second["failover.attribution.source.provider"] == "openai"
    assert (second["error.type"], second["http.response.status_code"]) == ("timeout", None)
    assert "quota" not in second.description
    assert (third["candidate.outcome"], third.verdict) == ("success", ("verified", None))
    assert len(telemetry.markers) == 1
    assert telemetry.run["candidate.provider"] == "gcp.gemini"


async def drained(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


WAYS: dict[str, tuple[Loop, Callable[[Router], Any]]] = {
    "values": (loop("Router.route", "Router._ask", error="result.error"), lambda router: router.route()),
    "exceptions": (loop("Router.route_raising", "Router._try"), lambda router: router.route_raising()),
    "async": (loop("Router.aroute", "Router._atry"), lambda router: asyncio.run(router.aroute())),
    "stream": (loop("Router.stream", "Router._stream"), lambda router: list(router.stream())),
    "async stream": (loop("Router.astream", "Router._astream"), lambda router: asyncio.run(drained(router.astream()))),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_shared_session_is_found_out_in_a_loop_that_is_only_configured(
    way: str, stack: ExitStack, tmp_path: Path
) -> None:
    """One session file serves all candidates: OpenAI's quota error is reported for Anthropic, which hung."""
    configured, drive = WAYS[way]
    with instrumented(configured) as telemetry:
        assert drive(Router(incident(stack), Session(tmp_path / "session")))
        shows_the_theft(telemetry)


def test_an_honest_loop_stays_verified(stack: ExitStack) -> None:
    """The same loop without the shared session."""
    configured, drive = WAYS["values"]
    with instrumented(configured) as telemetry:
        drive(Router(incident(stack)))
        assert [each.verdict[0] for each in telemetry.candidates] == ["verified"] * 3
        assert not telemetry.markers


def test_an_error_may_stand_beside_the_result(stack: ExitStack, tmp_path: Path) -> None:
    """`error` is read after the call wherever it starts: here from the session itself."""
    router = Router(incident(stack), Session(tmp_path / "session"))
    with instrumented(loop("Router.route", "Router._ask", error="result.error", profile="'eu'")) as telemetry:
        router.route()
        assert [each["candidate.profile"] for each in telemetry.candidates] == ["eu"] * 3


# --- kinds of functions -----------------------------------------------------------------------------------------------


async def _entered(manager: Any) -> Any:
    async with manager as reply:
        return reply


def _with(manager: Any) -> Any:
    with manager as reply:
        return reply


async def _awaited(router: Router, name: str) -> Any:
    return await getattr(router, name)()


KINDS: dict[str, tuple[Loop, Callable[[Router], Any]]] = {
    "bare calls": (loop("bare"), lambda r: acme.bare(r.vendors)),
    "method": (loop("Router.route", "Router._ask", error="result.error"), lambda router: router.route()),
    "coroutine": (loop("Router.aroute", "Router._atry"), lambda r: asyncio.run(r.aroute())),
    "generator": (loop("Router.stream", "Router._stream"), lambda r: list(r.stream())),
    "async generator": (loop("Router.astream", "Router._astream"), lambda r: asyncio.run(drained(r.astream()))),
    "returns a coroutine": (loop("Router.later", "Router._atry"), lambda r: asyncio.run(_awaited(r, "later"))),
    "returns a task": (loop("Router.as_task", "Router._atry"), lambda r: asyncio.run(_awaited(r, "as_task"))),
    "returns a generator": (loop("Router.chunks", "Router._stream"), lambda r: list(r.chunks())),
    "returns an async generator": (
        loop("Router.achunks", "Router._astream"),
        lambda r: asyncio.run(drained(r.achunks())),
    ),
    "context manager": (loop("Router.open_stream", "Router._try"), lambda r: _with(r.open_stream())),
    "async context manager": (
        loop("Router.aopen_stream", "Router._atry"),
        lambda r: asyncio.run(_entered(r.aopen_stream())),
    ),
    "static method": (loop("Router.static", "Router._static_ask"), lambda r: Router.static(r.vendors)),
    "inherited": (loop("Router.inherited", "Router.ask_raising"), lambda r: r.inherited(r.vendors)),
    "unbound": (loop("Router.inherited", "Router.ask_raising"), lambda r: Router.inherited(r, vendors=r.vendors)),
    "calls itself": (loop("Router.recurse", "Router._try"), lambda router: router.recurse()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_function_is_a_run_and_its_attempts(kind: str, stack: ExitStack) -> None:
    configured, drive = KINDS[kind]
    router = Router(vendors(stack, Answer.openai_quota(), Answer.ok("served")))
    if kind == "bare calls":
        configured = loop("bare", chain=[each.sdk.candidate for each in router.vendors])
    with instrumented(configured) as telemetry:
        assert drive(router)
        shows_a_fallback(telemetry, configured.run.partition(":")[2])


def test_a_class_method_too(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Router, "vendors_known", failing(stack))
    with instrumented(loop("Router.of_class", "Router._class_ask")) as telemetry:
        assert Router.of_class()
        shows_a_fallback(telemetry, "Router.of_class")


def test_a_loop_that_tries_and_goes_on_in_one_function_is_one_run(stack: ExitStack) -> None:
    """The next candidate is tried inside the first attempt: it is the next attempt, not a run of its own."""
    configured = loop("ask_first", "ask_first", provider="vendors[0].label", model="vendors[0].name", chain="vendors")
    with instrumented(configured) as telemetry:
        assert acme.ask_first(failing(stack))
        shows_a_fallback(telemetry, "ask_first")
        assert telemetry.run["failover.chain"] == ["openai/gpt-5.5", "anthropic/claude-opus-4-7"]


def test_a_candidate_that_is_the_loop_again_is_a_child_run(stack: ExitStack) -> None:
    """With an attempt between, a call of the run function is a loop within a candidate."""
    found = failing(stack)
    found[0].sdk.server.program(Answer.ok("served"))
    with instrumented(loop("Router.nested", "Router._nested_ask")) as telemetry:
        assert Router(found).nested()
        outer, inner = telemetry.starting("failover ")
        (candidate,) = telemetry.children(outer)
        assert inner.parent_id == candidate.span_id


def test_names_signatures_kinds_and_pickles_are_as_before() -> None:
    names = ("route", "aroute", "stream", "astream", "static", "of_class", "inherited")
    before = {name: getattr(Router, name) for name in names}
    asked = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.ismethod)
    with instrumented(*(loop(f"Router.{name}") for name in names), loop("bare")):
        for name in names:
            now = getattr(Router, name)
            assert (now.__name__, now.__qualname__, now.__doc__) == (name, before[name].__qualname__, None)
            assert inspect.signature(now) == inspect.signature(before[name])
            assert [ask(now) for ask in asked] == [ask(before[name]) for ask in asked]
        assert pickle.loads(pickle.dumps(acme.bare)) is acme.bare
    assert {name: getattr(Router, name) for name in names} == before
    assert "inherited" not in vars(Router)


def test_coroutines_and_generators_keep_their_names_and_fail_as_early(stack: ExitStack) -> None:
    """A wrong call raises where it is made; a coroutine that nobody awaits is told of once, under the host's name."""
    with instrumented(loop("Router.aroute", "Router._atry"), loop("Router.stream", "Router._stream")):
        router = Router([])
        coroutine, generator = router.aroute(), router.stream()
        assert (coroutine.__qualname__, generator.__qualname__) == ("Router.aroute", "Router.stream")  # type: ignore[attr-defined]
        with pytest.warns(RuntimeWarning, match=r"'Router.aroute' was never awaited") as warned:
            del coroutine
        assert len(warned) == 1
        with pytest.raises(TypeError, match="unexpected keyword argument 'odd'"):
            asyncio.run(router.aroute(odd=1))  # type: ignore[call-arg]


def test_the_hosts_own_task_comes_back_and_its_exception_still_counts_as_unread(stack: ExitStack) -> None:
    async def unread() -> list[str]:
        said: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
        task = router.as_task()
        assert type(task) is asyncio.Task
        await asyncio.wait([task])
        del task
        return said

    router = Router(vendors(stack, Answer.openai_quota()))
    with instrumented(loop("Router.as_task", "Router._atry")) as telemetry:
        assert asyncio.run(unread()) == ["Task exception was never retrieved"]
        assert telemetry.run["failover.outcome"] == "exhausted"


def test_what_is_returned_and_never_used_ends_its_run(stack: ExitStack) -> None:
    with instrumented(loop("Router.chunks", "Router._stream"), loop("Router.open_stream", "Router._try")) as telemetry:
        router = Router(failing(stack))
        router.chunks()
        router.open_stream()
        assert [run["failover.attempt.count"] for run in telemetry.starting("failover ")] == [0, 0]


def test_threads_without_context_neither_crash_nor_borrow_another_run(stack: ExitStack) -> None:
    with instrumented(loop("Router.in_pool", "Router._try")) as telemetry:
        assert Router(failing(stack)).in_pool()
        runs = {each["failover.library"]: each for each in telemetry.starting("failover ")}
        assert {name: each["failover.outcome"] for name, each in runs.items()} == {
            "configured": "unasked",
            "inferred": "fallback",
        }
        assert {each["failover.run.id"] for each in telemetry.candidates} == {runs["inferred"]["failover.run.id"]}
        assert [each["candidate.model"] for each in telemetry.starting("chat ")] == ["gpt-5.5", "claude-opus-4-7"]
        assert not telemetry.markers


def test_exceptions_pass_as_the_same_object(stack: ExitStack) -> None:
    raised = RouterError("the host's own")
    found = failing(stack)[:1]
    found[0].sdk.ask = lambda **_: (_ for _ in ()).throw(raised)
    with instrumented(loop("Base.inherited"), loop("bare"), loop("ask_first", "ask_first", provider="'openai'")):
        with pytest.raises(RouterError) as caught:
            acme.ask_first(found)
        assert caught.value is raised
        assert raised.__cause__ is None


# --- whose attempt it is ----------------------------------------------------------------------------------------------


def test_an_attempt_entered_by_another_door_makes_nothing(stack: ExitStack) -> None:
    with instrumented(loop("Router.route", "Router._ask")) as telemetry:
        found = vendors(stack, Answer.ok("served"))
        Router(found)._ask(found[0])
        with failover_run("chat") as run, run.attempt("openai/gpt-5.5"):
            Router(found)._ask(found[0])
        assert len(telemetry.candidates) == 1


def test_two_loops_share_their_attempt(stack: ExitStack) -> None:
    loops = loop("Router.recurse", "Router._try"), loop("Router.route_raising", "Router._try")
    with instrumented(*loops) as telemetry:
        router = Router(failing(stack))
        assert router.route_raising()
        shows_a_fallback(telemetry, "Router.route_raising")
        telemetry.clear()
        assert router.recurse(1)
        assert [each.name for each in telemetry.candidates] == ["candidate anthropic"]


def test_a_loop_configured_twice_is_one_run(stack: ExitStack, caplog: pytest.LogCaptureFixture) -> None:
    configured = loop("Router.route_raising", "Router._try")
    with instrumented(configured, configured, loop("Router.route_raising", "Router._ask")) as telemetry:
        assert Router(failing(stack)).route_raising()
        shows_a_fallback(telemetry, "Router.route_raising")
    (warning,) = told(caplog)
    assert f"the loop {HOME}:Router.route_raising is configured twice" in warning


@pytest.mark.parametrize("above", [False, True])
def test_a_function_that_failover_run_decorates_keeps_that_run(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, above: bool
) -> None:
    decorated: Any = failover_run("chat", name="theirs")(Router.route_raising)
    if above:
        import functools

        inner = decorated
        decorated = functools.wraps(inner)(lambda self: inner(self))
    monkeypatch.setattr(Router, "route_raising", decorated)
    with instrumented(loop("Router.route_raising", "Router._try")) as telemetry:
        assert Router(failing(stack)).route_raising()
        assert (telemetry.run["failover.library"], telemetry.run["failover.loop.name"]) == ("manual", "theirs")
        assert [each.name for each in telemetry.candidates] == ["candidate openai", "candidate anthropic"]


def test_concurrent_runs_keep_apart(stack: ExitStack) -> None:
    async def many(router: Router) -> None:
        await asyncio.gather(*(router.aroute() for _ in range(5)))

    found = failing(stack)
    with instrumented(loop("Router.aroute", "Router._atry")) as telemetry:
        asyncio.run(many(Router(found)))
        runs = telemetry.starting("failover ")
        assert [len(telemetry.children(run)) for run in runs] == [2] * 5
        assert {run["failover.outcome"] for run in runs} == {"fallback"}


def test_a_cancelled_attempt_is_cancelled(stack: ExitStack) -> None:
    found = vendors(stack, Answer.hang())
    found[0].sdk.aclient = found[0].sdk.aclient.with_options(timeout=5.0)

    async def cancelled() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(Router(found).aroute(), 0.1)

    with instrumented(loop("Router.aroute", "Router._atry")) as telemetry:
        asyncio.run(cancelled())
        assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("cancelled", "UNSET")
        assert telemetry.candidates[0]["failover.killed_by"] == "user"


# --- chains -----------------------------------------------------------------------------------------------------------

CHAIN = ["openai/gpt-5.5", "anthropic/claude-opus-4-7"]
CHAINS: dict[str, Any] = {
    "the host's own objects": "self.vendors",
    "a list of texts": CHAIN,
    "a list of maps": [
        {"provider": "openai", "model": "gpt-5.5"},
        {"provider": "anthropic", "model": "claude-opus-4-7"},
    ],
    "candidates": (Candidate("openai", "gpt-5.5"), Candidate("anthropic", "claude-opus-4-7")),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_gives_the_places_and_names_the_untried(chain: str, stack: ExitStack) -> None:
    found = vendors(stack, Answer.ok("served"), Answer.ok("served"))
    configured = loop(
        "Router.route",
        "Router._ask",
        chain=CHAINS[chain],
        endpoint="vendor.url",
        profile="vendor.label",
        error="result.error",
    )
    with instrumented(configured) as telemetry:
        Router(found).route()
        found[0].sdk.server.program(Answer.openai_quota())
        Router(found).route()
        first, second = telemetry.starting("failover ")
        assert first["failover.chain"] == second["failover.chain"] == CHAIN
        assert [run["failover.outcome"] for run in (first, second)] == ["primary", "fallback"]
        assert [each["candidate.index"] for each in telemetry.candidates] == [0, 0, 1]
        assert {each["candidate.endpoint"] for each in telemetry.candidates} == {
            each.sdk.server.endpoint for each in found
        }
        assert [each["candidate.profile"] for each in telemetry.candidates] == ["openai", "openai", "anthropic"]


def test_equal_entries_are_told_apart_by_the_hosts_own_objects(stack: ExitStack) -> None:
    """Two keys of one vendor: provider and model say nothing, the object does, whichever comes first."""
    first, second = vendors(stack, Answer.openai_quota()), vendors(stack, Answer.ok("served"))
    router = Router([*first, *second])
    with instrumented(loop("Router.recurse", "Router._try", chain="self.vendors")) as telemetry:
        assert router.recurse(1)
        assert [(each.name, each["candidate.index"]) for each in telemetry.candidates] == [("candidate openai #1", 1)]
        telemetry.clear()
        assert router.recurse()
        assert [each["candidate.index"] for each in telemetry.candidates] == [0, 1]


def test_a_chain_that_cannot_be_read_is_told_once_and_the_loop_works(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    configured = loop("Router.static", "Router._static_ask", chain="vendors")
    with instrumented(configured) as telemetry:
        found = vendors(stack, Answer.ok("served"))
        assert Router.static(iter(found))  # type: ignore[arg-type]
        assert Router.static(iter(found))  # type: ignore[arg-type]
        assert [run["failover.chain"] for run in telemetry.starting("failover ")] == [None, None]
        assert len(telemetry.candidates) == 2
    (warning,) = told(caplog)
    assert "chain of" in warning
    assert "an iterator, which can be read only once" in warning


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("'azure'", "azure.ai.openai"),
        ('"openai"', "openai"),
        ("vendor.label", "openai"),
        ('kwargs["provider"]', "openai"),
        ('kwargs["tags"][0]', "openai"),
        ("kwargs['tags'][-1]['of']", "openai"),
        ("self.vendors[0].label", "openai"),
        ("result.vendor", "openai"),
    ],
)
def test_a_path_finds_what_the_hosts_own_expression_would(path: str, expected: str, stack: ExitStack) -> None:
    found = vendors(stack, Answer.ok("served"))
    router = Router(found)
    configured = loop("Router.call", "Router._ask", provider=path, model="'gpt-5.5'")
    with instrumented(configured) as telemetry:
        assert router.call(found[0], provider="openai", tags=["openai", {"of": "openai"}])
        assert telemetry.candidates[0]["candidate.provider"] == ("127.0.0.1" if path == "result.vendor" else expected)


def test_a_name_from_the_result_serves_where_nothing_was_sent() -> None:
    silent = Vendor("openai", "gpt-5.5", None)
    with instrumented(loop("Router.call", "Router._ask", provider="result.vendor")) as telemetry:
        Router([silent]).call(silent)
        assert [each["candidate.provider"] for each in telemetry.candidates] == ["openai"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("model", "default-model"), ("vendor.name", "gpt-5.5")],
)
def test_defaults_and_positional_only_parameters_are_bound(path: str, expected: str, stack: ExitStack) -> None:
    with instrumented(loop("Router.inherited", "Router.ask_raising", model=path)) as telemetry:
        assert Router([]).inherited(vendors(stack, Answer.ok("served")))
        assert telemetry.candidates[0]["candidate.model"] == expected


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("vendor.labl", "Vendor has no 'labl'; did you mean label?"),
        ("vendr.label", "Router._ask has no 'vendr'; did you mean vendor?"),
        ('kwargs["modle"]', "dict has no 'modle'; did you mean model?"),
        ('kwargs["sk-proj-Zq8vL2mN4xWc7RtYbH3k"]', "dict has no"),
        ("self.vendors[7].label", "list has no 7; its length is 2"),
        ("self.session.label", "NoneType has no 'label'"),
        ("vendor.broken", "reading 'broken' of Vendor raised ZeroDivisionError"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_once_and_the_evidence_names_the_provider(
    path: str, said: str, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    found = failing(stack)
    configured = loop(
        "Router.route", "Router._ask", provider=path, error="result.error", chain=[each.sdk.candidate for each in found]
    )
    with instrumented(configured) as telemetry:
        assert Router(found).route().error is None
        shows_a_fallback(telemetry, "Router.route")
    (warning,) = told(caplog)
    assert f"provider of {HOME}:Router.route: " in warning
    assert said in warning
    assert "Zq8vL2mN4xWc7RtYbH3k" not in warning


BAD_PATHS = [
    ("self.vendor()", "no call can be made in column 12"),
    ("self.__class__.x", "__class__ is private to Python in column 6"),
    ("__builtins__", "__builtins__ is private to Python in column 1"),
    ("self.", "a name was expected in column 6"),
    ("self..vendor", "a name was expected in column 6"),
    ("self[vendor]", "an index or a key was expected"),
    ('self["vendor]', "an index or a key was expected"),
    ("self vendor", "' ' was not expected in column 5"),
    ("1vendor", "a name was expected in column 1"),
    ("'openai", "a name was expected in column 1"),
    ("", "a name was expected in column 1"),
]


@pytest.mark.parametrize(("path", "said"), BAD_PATHS)
def test_a_bad_path_is_told_with_its_column_and_the_other_loops_stand(
    path: str, said: str, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    bad = loop("Router.route", "Router._ask", provider=path)
    with instrumented(bad, loop("Router.route_raising", "Router._try")) as telemetry:
        states = {state.name: state for state in instrumentor.states()}
        assert states[f"{HOME}:Router.route"].status == SKIPPED
        assert states[f"{HOME}:Router.route_raising"].status == PATCHED
        assert Router(failing(stack)).route_raising()
        shows_a_fallback(telemetry, "Router.route_raising")
    (warning,) = told(caplog)
    assert warning.startswith(f"otel-failover: {HOME}:Router.route is not patched: provider: ")
    assert said in warning
    assert "a path is a parameter's name" in warning


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"run": "acme.router.Router.route"}, "run: 'acme.router.Router.route' names no function"),
        ({"run": 5}, "run: 5 names no function"),
        ({"run": object()}, "run: an object names no function"),
        ({"attempt": "Router._ask"}, "attempt: 'Router._ask' names no function; allowed is module:function"),
        ({"attempt": None, "provider": "vendor.label"}, "provider cannot be read without an attempt"),
        ({"provider": 7}, "provider: 7 is no path"),
        ({"endpoint": "result.url"}, "endpoint: 'result.url' starts at 'result'"),
        ({"chain": "result"}, "chain: 'result' starts at 'result'"),
        ({"chain": [5]}, "chain: [5] is no chain"),
        ({"operation": ""}, "operation: '' is no word"),
    ],
    ids=repr,
)
def test_a_bad_field_is_told_and_the_loop_skipped(
    fields: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with instrumented({"run": f"{HOME}:Router.route", "attempt": f"{HOME}:Router._ask", **fields}):
        assert not hasattr(vars(Router)["route"], "__wrapped__")
    (warning,) = told(caplog)
    assert said in warning


@pytest.mark.parametrize(("word", "name"), [("embeddings", "failover embeddings"), ("'chat'", "failover chat")])
def test_the_operation_is_a_word_of_the_spans_name(word: str, name: str, stack: ExitStack) -> None:
    with instrumented(loop("bare", operation=word)) as telemetry:
        acme.bare(vendors(stack, Answer.ok("served")))
        assert telemetry.run.name == name


# --- names, imports and states ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("Router.rout", f"{HOME} has no 'Router.rout'; did you mean Router.route?"),
        ("Ruter.route", f"{HOME} has no 'Ruter.route'; did you mean Router.route?"),
        ("Router", f"{HOME}:Router is a class; name a function or a method"),
        ("Vendor.url", f"{HOME}:Vendor.url is a property; name a function or a method"),
        ("Router.vendors_known", f"{HOME}:Router.vendors_known is a list; name a function or a method"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(run: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    with instrumented(loop(run)):
        (state,) = [each for each in instrumentor.states() if each.name == f"{HOME}:{run}"]
        assert (state.status, state.why) == (SKIPPED, said)
        assert said in adapters.describe(state)
    assert [said in warning for warning in told(caplog)] == [True]


_LATE = """
    import logging, sys
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
    sys.path.insert(0, {path!r})
    from otel_failover import FailoverInstrumentor, Loop, instrumentor
    def status():
        return {{state.name: state.status for state in instrumentor.states()}}["late_acme.router:route"]
    FailoverInstrumentor().instrument(loops=[Loop(run="late_acme.router:{name}", attempt="late_acme.router:ask")])
    print("BEFORE", "late_acme" in sys.modules, *(state.status for state in instrumentor.states() if "acme" in state.name))
    import late_acme.user, late_acme.router
    print("AFTER", *(state.status for state in instrumentor.states() if "acme" in state.name), late_acme.user.route())
    FailoverInstrumentor().uninstrument()
    print("OFF", type(late_acme.router.ask).__name__)
    FailoverInstrumentor().instrument(loops=[Loop(run="late_acme.router:{name}", attempt="late_acme.router:ask")])
    print("AGAIN", *(state.status for state in instrumentor.states() if "acme" in state.name))
"""


def late_package(folder: Path) -> None:
    package = folder / "late_acme"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "router.py").write_text("def route():\n    return ask()\n\ndef ask():\n    return 'asked'\n")
    (package / "inner").mkdir()
    (package / "inner" / "__init__.py").write_text("")
    (package / "inner" / "user.py").write_text("")
    (package / "user.py").write_text("from late_acme.router import route\n")
    (package / "odd.py").write_text("def __getattr__(name):\n    raise RuntimeError(name)\n")


@pytest.mark.slow
def test_what_is_imported_later_is_wrapped_then_and_nothing_is_imported_by_us(tmp_path: Path) -> None:
    late_package(tmp_path)
    printed = in_a_process(_LATE.format(path=str(tmp_path), name="route"))
    assert "BEFORE False waiting" in printed
    assert "late_acme.router:route waiting (patched when imported)" in printed
    assert "INFO otel-failover: late_acme.router:route patched" in printed
    assert "AFTER patched asked" in printed
    assert "OFF function" in printed
    assert "AGAIN patched" in printed
    assert "WARNING otel-failover: late_acme.user.route was imported by name from late_acme.router" in printed


@pytest.mark.slow
def test_a_wrong_name_in_a_module_that_comes_later_breaks_no_import(tmp_path: Path) -> None:
    late_package(tmp_path)
    printed = in_a_process(_LATE.format(path=str(tmp_path), name="rout"))
    assert (
        "WARNING otel-failover: late_acme.router:rout is not patched: late_acme.router has no 'rout'; did you mean"
        in printed
    )
    assert "AFTER skipped asked" in printed


def test_a_module_that_is_nowhere_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with instrumented(Loop(run="opentelemetri.router:Router.route")):
        (state,) = [each for each in instrumentor.states() if "router" in each.name]
        assert state.status == WAITING
    (warning,) = told(caplog)
    assert "no module 'opentelemetri' is found on sys.path; did you mean opentelemetry?" in warning


_NOWHERE = """
    import sys
    sys.path.insert(0, {path!r})
    from otel_failover import FailoverInstrumentor, Loop, instrumentor
    {before}
    there = set(sys.modules)
    FailoverInstrumentor().instrument(loops=[Loop(run="{run}:route"), Loop(run="late_acme.router:ask")])
    print("IMPORTED", [each for each in sys.modules if each not in there and "late_acme" in each])
    for state in instrumentor.states():
        if "acme" in state.name:
            print("STATE", state.name, state.status)
"""


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "import late_acme.inner, late_acme.router"])
@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("late_acme.ruter", "no module 'late_acme.ruter' is found in the package late_acme; did you mean late_acme.router?"),
        ("late_acme.zzz", "no module 'late_acme.zzz' is found in the package late_acme\n"),
        ("late_acme.inner.usr", "'late_acme.inner.usr' is found in the package late_acme.inner; did you mean late_acme.inner.user?"),
        ("late_acme.iner.user", "'late_acme.iner' is found in the package late_acme; did you mean late_acme.inner?"),
        ("late_acme.router.Router", "'late_acme.router.Router' is found: late_acme.router is no package; a class stands"),
    ],
)  # fmt: skip
def test_a_module_that_is_not_in_its_package_is_told_at_once_and_nothing_is_imported(
    run: str, said: str, before: str, tmp_path: Path
) -> None:
    late_package(tmp_path)
    printed = in_a_process(_NOWHERE.format(path=str(tmp_path), run=run, before=before))
    assert "IMPORTED []" in printed
    assert f"STATE {run}:route waiting" in printed
    (warning,) = [line for line in printed.splitlines() if "WARNING" in line]
    assert f"{run}:route waits for a module that is not there: " in warning
    assert said in f"{warning}\n"


@pytest.mark.slow
def test_a_module_that_is_not_there_yet_is_waited_for_all_the_same(tmp_path: Path) -> None:
    late_package(tmp_path)
    then = f"""
    from pathlib import Path
    import importlib
    Path({str(tmp_path)!r}, "late_acme", "made.py").write_text("def route(): ...")
    importlib.invalidate_caches()
    import late_acme.made
    print("THEN", *(state.status for state in instrumentor.states() if "made" in state.name))
    """
    printed = in_a_process(_NOWHERE.format(path=str(tmp_path), run="late_acme.made", before="") + then)
    assert "STATE late_acme.made:route waiting" in printed
    assert "THEN patched" in printed


_RAISES = """
    class Odd:
        def find_spec(self, name, path=None, target=None):
            if "acme" in name:
                raise OSError("odd")
    import late_acme.router; sys.meta_path.insert(0, Odd())
"""
_FINDS = """
    class Theirs:
        def find_spec(self, name, path=None, target=None):
            return importlib.util.spec_from_loader(name, self, is_package=True) if name == "theirs_acme" else None
    import importlib.util; sys.meta_path.insert(0, Theirs())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "before"),
    [
        ("late_acme.ruter", _RAISES.strip()),
        ("acme_nowhere.router", _RAISES.strip()),
        ("theirs_acme.router", _FINDS.strip()),
        ("space_acme.sub.router", "pass"),
        ("late_acme.router", "sys.modules['late_acme'] = object()"),
    ],
    ids=["raises below", "raises", "a finder of the host's", "a namespace", "no module at all"],
)
def test_what_finders_raise_or_leave_open_is_no_warning(run: str, before: str, tmp_path: Path) -> None:
    late_package(tmp_path)
    (tmp_path / "space_acme" / "sub").mkdir(parents=True)
    printed = in_a_process(_NOWHERE.format(path=str(tmp_path), run=run, before=before))
    assert f"STATE {run}:route waiting" in printed
    assert "failed in" not in printed
    if "object()" not in before:
        assert "WARNING" not in printed


def test_copies_made_before_are_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What `from acme.router import bare` left elsewhere; a copy of a wrapper that has been taken off is one too."""
    monkeypatch.setitem(globals(), "copied", acme.bare)
    with instrumented(loop("bare")):
        monkeypatch.setitem(globals(), "wrapped", acme.bare)
    with instrumented(loop("bare")):
        pass
    first, second = told(caplog)
    assert f"{__name__}.copied was imported by name from {HOME} before it was wrapped" in first
    assert f"{__name__}.wrapped" not in first
    assert f"{__name__}.copied, {__name__}.wrapped was" in second or f"{__name__}.wrapped" in second


def test_a_loop_can_be_switched_off_by_its_name() -> None:
    with instrumented(loop("bare"), disabled_libraries=[f"{HOME}:bare"]):
        assert not hasattr(acme.bare, "__wrapped__")
        (state,) = [each for each in instrumentor.states() if each.name == f"{HOME}:bare"]
        assert state.status == "disabled"


def test_a_stream_that_its_consumer_closes_ends_its_run(stack: ExitStack) -> None:
    """At once for the loop's own part; the SDK's stream ends when it is collected."""
    with instrumented(loop("Router.chunks", "Router._stream")) as telemetry:
        generator: Any = Router(failing(stack)).chunks()
        next(generator)
        generator.close()
        del generator
        gc.collect()
        shows_a_fallback(telemetry, "Router.chunks")
