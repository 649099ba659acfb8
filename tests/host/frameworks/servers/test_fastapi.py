"""FastAPI under uvicorn: loops in each kind of endpoint, and requests that are none, in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from otel_failover.testing.providers import Answer, LocalProvider
from tests.host.frameworks.apps import asked, check_failover, check_none
from tests.host.frameworks.servers.process import LATE, Service, needs, running

if TYPE_CHECKING:
    from collections.abc import Iterator

needs("fastapi", "uvicorn", "tenacity")

TRACED = ("its spans", "no span")


@pytest.fixture(scope="module", params=TRACED)
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, free_port: int
) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("fastapi") / "log"
    command = ["uvicorn", "tests.host.frameworks.servers.fastapi_app:app", "--port", str(free_port), "--no-access-log"]
    off = "fastapi,starlette,asgi" if request.param == "no span" else ""
    with LocalProvider("openai") as first, LocalProvider("anthropic") as second:
        with running(command, log, (first, second), port=free_port, off=off, SPANS="none" if off else "") as server:
            yield Service(server, first, second, traced=not off)


@pytest.fixture
def service(started: Service) -> Service:
    """The service, whose first provider refuses from now on."""
    started.restart()
    return started


LOOPS = ("sync", "async", "stream", "astream", "background", "abackground")


@pytest.mark.parametrize("path", LOOPS)
def test_a_loop(service: Service, path: str) -> None:
    status, said, spans = service.ask(f"/{path}", f"Why, asks {path}?", calls=2)
    assert (status, LATE in said) == (200, "background" not in path)
    check_failover(spans)
    if service.traced:
        assert len({span.trace_id for span in spans}) == 1


@pytest.mark.parametrize("path", ["threads", "patient"])
def test_a_loop_whose_calls_are_threads_or_tasks(service: Service, path: str) -> None:
    """Without a span those are seen that are made in one task, or in tasks that one waits for in turn."""
    status, said, spans = service.ask(f"/{path}", f"Why, asks {path}?", calls=2)
    assert (status, LATE in said) == (200, True)
    if service.traced or path == "patient":
        check_failover(spans)


def test_a_loop_that_nobody_answers(service: Service) -> None:
    service.second.program(Answer.anthropic_overloaded())
    status, _, spans = service.ask("/async", "Why does nobody answer?", calls=2)
    assert status == 502
    check_failover(spans, outcome="exhausted", reasons=("billing", "overloaded"))


def test_a_call_to_this_application_and_the_one_inside_it_are_two(service: Service) -> None:
    """FastAPI's own telemetry makes the inner request current without what was current around it."""
    status, said, spans = service.ask("/inside", "Who answers for you?", calls=2)
    assert (status, LATE in said) == (200, True)
    outer, inner = asked(spans)
    assert [each["candidate.model"] for each in (outer, inner)] == ["gpt-5.5", "claude-opus-4-7"]
    assert (outer["failover.wire.requests"], outer["candidate.outcome"]) == (1, "success")
    assert outer.verdict == ("verified", None)
    check_none(spans)


# --- what is none -----------------------------------------------------------------------------------------------------


def test_two_users_who_ask_the_same(service: Service) -> None:
    """The first one's model fails, and the second one has chosen the other: nobody went from one to the other."""
    _, _, first = service.ask("/ask", "What do two ask?", calls=1, model="gpt")
    status, _, second = service.ask("/ask", "What do two ask?", calls=1, model="claude")
    assert status == 200
    check_none(first + second, calls=2)


NONE: dict[str, tuple[int, tuple[Any, ...]]] = {
    "retry": (3, (Answer.openai_server_error(), Answer.ok("a"))),
    "both": (3, (Answer.openai_server_error(),)),
    "checked": (1, (Answer.openai_server_error(),)),
    "documents": (6, (Answer.openai_server_error(),)),
}
"""How many calls there are, and what the first provider does."""


@pytest.mark.parametrize("path", NONE)
def test_it_is_none(service: Service, path: str) -> None:
    calls, answers = NONE[path]
    service.first.program(*answers)
    if path == "both":
        service.second.program(Answer.delayed(Answer.ok(LATE), 0.3))
    status, _, spans = service.ask(f"/{path}", f"Why, asks {path}?", calls=calls)
    assert status == 200
    check_none(spans)
