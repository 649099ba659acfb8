"""Whatever a loop hands us, it goes on, and its exceptions pass untouched."""

from __future__ import annotations

import asyncio
import enum
import inspect
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from otel_failover import Candidate, failover_run
from tests.support.same import CHAIN, PLACES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Telemetry


class Nasty:
    """Every attribute raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class NastyError(Exception):
    """An exception that cannot be read, printed or hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare")

    def __str__(self) -> str:
        raise RuntimeError("no text")

    @property
    def response(self) -> Any:
        raise RuntimeError("no response")

    @property
    def request(self) -> Any:
        raise RuntimeError("no request")

    @property
    def status_code(self) -> Any:
        raise RuntimeError("no status")

    message = body = code = exceptions = response


CHAINS: dict[str, Any] = {
    "empty": [],
    "nobody knows them": ["acme/m", "m", ""],
    "junk": [None, 5, object(), Nasty(), ["openai"]],
    "a text": "openai/m",
    "a set": {"openai/m"},
    "a mapping": {"openai/m": 1},
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_a_strange_chain_stops_nobody(chain: Any, telemetry: Telemetry) -> None:
    with failover_run("chat", chain=chain) as run:
        for entry in ("openai/m", None, 5, Nasty(), "", Candidate("x", "y")):
            with run.attempt(entry) as attempt:
                attempt.fail("no")
            run.skip(entry, reason=entry)
    assert len(telemetry.candidates) == 6
    assert len(telemetry.starting("skip")) == 6
    assert telemetry.run.status == "ERROR"
    assert telemetry.run["failover.attempt.count"] == 6


@pytest.mark.parametrize("chain", [None, "iterator"])
def test_without_a_chain_attempts_are_recorded_in_order_of_appearance(chain: Any, telemetry: Telemetry) -> None:
    with failover_run("chat", chain=chain and iter(["openai/m"])) as run:
        for candidate in ("openai/m", "anthropic/m", "openai/m"):
            with run.attempt(candidate) as attempt:
                attempt.fail("no")
    assert [span["candidate.index"] for span in telemetry.candidates] == [0, 1, 0]
    assert [span["candidate.attempt"] for span in telemetry.candidates] == [1, 1, 2]


def test_a_chain_that_can_be_read_once_is_left_for_the_host(telemetry: Telemetry) -> None:
    chain = iter(["openai/m", "anthropic/m"])
    with failover_run("chat", chain=chain):
        assert list(chain) == ["openai/m", "anthropic/m"]


@pytest.mark.parametrize("chain", [5, object(), Nasty()], ids=["number", "object", "nasty"])
def test_a_chain_that_is_none_is_told_and_the_run_goes_on(
    chain: Any, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with failover_run("chat", chain=chain) as run, run.attempt("openai/m"):
        pass
    assert telemetry.run
    assert "chain" in caplog.text


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [(httpx.URL("https://api.openai.com/v1"), "https://api.openai.com"), (5, "https://5"), ({"x": 1}, None)],
    ids=str,
)
def test_a_candidate_takes_any_endpoint(given: Any, endpoint: str | None, telemetry: Telemetry) -> None:
    found = Candidate("openai", "m", endpoint=given).endpoint
    assert (found, type(found)) == (endpoint, type(endpoint))


@pytest.mark.parametrize("profile", [7, object()], ids=["number", "object"])
def test_a_candidate_takes_any_profile(profile: Any, telemetry: Telemetry) -> None:
    candidate = Candidate("openai", "m", profile=profile)
    with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
        pass
    assert len(telemetry.candidates) == 1


@pytest.mark.parametrize("number", range(10))
def test_fail_and_reject_take_anything(number: int, telemetry: Telemetry) -> None:
    errors: list[Any] = [
        None, Nasty(), NastyError(), 5, b"no", {}, {"error": Nasty()}, {Nasty(): 1}, [Nasty()], Nasty,
    ]  # fmt: skip
    with failover_run("chat", chain=CHAIN) as run:
        with run.attempt(CHAIN[0]) as attempt:
            attempt.fail(errors[number])
        with run.attempt(CHAIN[1]) as attempt:
            attempt.reject(errors[number])
        run.skip(CHAIN[0], reason=errors[number], cause=errors[number])
        run.stop(errors[number])
    assert [span.status for span in telemetry.candidates] == ["ERROR", "UNSET"]
    assert telemetry.candidates[1].attributes["candidate.outcome"] == "rejected"
    assert telemetry.run["failover.outcome"] == "exhausted"


class Reason(enum.Enum):
    """What a loop may use for its reasons."""

    RATE_LIMIT = 1


@pytest.mark.parametrize("error", [429, True, 0.5, Reason.RATE_LIMIT, TimeoutError, b"busy"], ids=repr)
def test_a_value_that_everybody_may_use_is_nobodys_error_object(error: object, telemetry: Telemetry) -> None:
    """`fail(429)` or `fail(Reason.RATE_LIMIT)` for two candidates is no mismatch: everybody shares the object."""
    with failover_run("chat", chain=CHAIN) as run:
        for candidate in CHAIN:
            with run.attempt(candidate) as attempt:
                attempt.fail(error)
    assert not telemetry.markers


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_an_unreadable_exception_passes_and_is_recorded(place: Callable[..., Any], telemetry: Telemetry) -> None:
    problem = NastyError()

    def fails() -> None:
        raise problem

    with pytest.raises(NastyError) as caught:
        place(fails)
    assert caught.value is problem
    assert not vars(problem)
    if place is PLACES["in an attempt"]:
        (span,) = telemetry.candidates
        assert span["candidate.outcome"] == "error"
        assert span.status == "ERROR"


def test_an_unreadable_exception_of_a_transport_passes_and_is_recorded(telemetry: Telemetry) -> None:
    problem = NastyError()

    class Failing(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise problem

    with failover_run("chat", chain=CHAIN) as run:
        with (
            pytest.raises(NastyError) as caught,
            run.attempt(CHAIN[0]),
            httpx.Client(transport=Failing()) as client,
        ):
            client.post("https://api.openai.com/v1/chat/completions")
        with run.attempt(CHAIN[1]) as attempt:
            attempt.fail(problem)
    assert caught.value is problem
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["error", "error"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are new in 3.11")
def test_an_exception_group_passes_untouched(telemetry: Telemetry) -> None:
    group = ExceptionGroup("all failed", [NastyError(), ValueError("x")])  # type: ignore[name-defined,unused-ignore]  # noqa: F821
    with pytest.raises(ExceptionGroup) as caught, failover_run("chat", chain=CHAIN) as run, run.attempt(CHAIN[0]):  # type: ignore[name-defined,unused-ignore]  # noqa: F821
        raise group
    assert caught.value is group
    assert telemetry.candidates[0].status == "ERROR"


def test_misused_attempts_stop_nobody(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """Outside a run, entered twice, left twice, marked after the end, streamed with what is no stream."""
    with failover_run("chat", chain=CHAIN) as run:
        attempt = run.attempt(CHAIN[0])
        with attempt, attempt:
            assert attempt.stream(5) == 5
            assert list(attempt.stream([1, 2])) == [1, 2]
        attempt.__exit__(None, None, None)
        attempt.fail("late")
        assert list(attempt.stream([3])) == [3]
        run.attempt(CHAIN[1])
    run.__exit__(None, None, None)
    run.skip(CHAIN[0], reason="late")
    with run.attempt(CHAIN[0]):
        pass
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["success"]
    assert "outside its run" in caplog.text
    assert "entered twice" in caplog.text
    assert "after it had ended" in caplog.text


def test_an_attempt_before_its_run_stops_nobody(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    run = failover_run("chat", chain=CHAIN)
    with run.attempt(CHAIN[0]) as attempt:
        attempt.fail("x")
    assert not telemetry.spans
    assert "outside its run" in caplog.text


def test_a_stream_whose_iteration_fails_ends_the_attempt(telemetry: Telemetry) -> None:
    class Broken:
        def __iter__(self) -> Iterator[Any]:
            raise ValueError("no chunks")

    with failover_run("chat", chain=CHAIN) as run, pytest.raises(ValueError, match="no chunks"):  # noqa: SIM117
        with run.attempt(CHAIN[0]) as attempt:
            list(attempt.stream(Broken()))
    assert telemetry.candidates[0].status == "ERROR"


def test_the_decorator_keeps_the_kind_of_a_function(telemetry: Telemetry) -> None:
    """FastAPI asks inspect before it runs a dependency; a Generator is expected to have send and throw."""

    @failover_run("chat")
    def chunks() -> Iterator[int]:
        yield 1

    assert inspect.isgeneratorfunction(chunks)
    assert hasattr(type(chunks()), "throw")


def test_the_decorator_keeps_what_functools_wraps_keeps(telemetry: Telemetry) -> None:
    @failover_run("chat")
    async def ask(question: str, *, times: int = 1) -> str:
        """Ask."""
        return question * times

    assert inspect.iscoroutinefunction(ask)
    assert str(inspect.signature(ask)) == "(question: 'str', *, times: 'int' = 1) -> 'str'"
    assert (ask.__name__, ask.__doc__) == ("ask", "Ask.")
    assert asyncio.run(ask("a", times=2)) == "aa"
