"""Flask under gunicorn, whose workers are forks: loops, and requests that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otel_failover.testing.providers import Answer, LocalProvider
from tests.host.frameworks.apps import check_failover, check_none
from tests.host.frameworks.servers.process import LATE, SILENT, Service, needs, running

if TYPE_CHECKING:
    from collections.abc import Iterator

needs("flask", "gunicorn")

WITHIN = 4.0
"""Seconds."""
WORKERS = {"sync": ["--workers", "1"], "gthread": ["--worker-class", "gthread", "--threads", "4"]}
CASES = [("sync", "its spans"), ("gthread", "its spans"), ("sync", "no span"), ("gthread", "no span")]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, free_port: int
) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("flask") / "log"
    workers, spans = request.param
    place = ["--bind", f"127.0.0.1:{free_port}", "--no-control-socket"]
    command = ["gunicorn", "tests.host.frameworks.servers.flask_app:app", *place, *WORKERS[workers]]
    off = "flask,wsgi" if spans == "no span" else ""
    with LocalProvider("openai") as first, LocalProvider("anthropic") as second:
        with running(
            command, log, (first, second), port=free_port, off=off, OTEL_FAILOVER_INFER_WITHIN=str(WITHIN)
        ) as server:
            yield Service(server, first, second, traced=not off)


@pytest.fixture
def service(started: Service) -> Service:
    started.restart()
    return started


@pytest.mark.parametrize("path", ["sync", "stream"])
def test_a_loop(service: Service, path: str) -> None:
    status, said, spans = service.ask(f"/{path}", f"Why, asks {path}?", calls=2)
    assert (status, said) == (200, LATE)
    check_failover(spans)
    if service.traced and path == "sync":
        assert len({span.trace_id for span in spans}) == 1


def test_a_loop_that_nobody_answers(service: Service) -> None:
    if not service.traced:
        pytest.skip(SILENT)
    service.second.program(Answer.anthropic_overloaded())
    status, _, spans = service.ask("/sync", "Why does nobody answer?", calls=2)
    assert status == 502
    check_failover(spans, outcome="exhausted", reasons=("billing", "overloaded"))


# --- what is none -----------------------------------------------------------------------------------------------------


def test_two_users_who_ask_the_same(service: Service) -> None:
    """The first one's model fails, and the second one has chosen the other: nobody went from one to the other.

    Without a span a thread cannot be told from what it served before: this is one of the false runs in the documents.
    """
    _, _, first = service.ask("/ask", "What do two ask?", calls=1, model="gpt")
    status, _, second = service.ask("/ask", "What do two ask?", calls=1, model="claude")
    assert status == 200
    if service.traced:
        check_none(first + second, calls=2)


def test_two_models_at_once(service: Service) -> None:
    """Both are asked before either has failed: one that is asked later looks as a fallback does."""
    service.first.program(Answer.delayed(Answer.openai_quota(), 0.5))
    service.second.program(Answer.delayed(Answer.ok(LATE), 0.3))
    status, _, spans = service.ask("/both", "What do two say?", calls=3)
    assert status == 200
    check_none(spans, calls=3)
