"""Celery's workers, one in its own process and one that forks: loops in a task, and tasks that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otel_failover.testing.providers import Answer, LocalProvider
from tests.host.frameworks.apps import check_failover, check_none
from tests.host.frameworks.servers.process import SILENT, Service, needs, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Exported

needs("celery", "kombu")

celery = pytest.importorskip("celery")

APP = "tests.host.frameworks.servers.celery_app"
CASES = [("solo", "its spans"), ("prefork", "its spans"), ("solo", "no span")]
WITHIN = 4.0
"""Seconds."""


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    place = tmp_path_factory.mktemp("celery")
    queue = place / "queue"
    queue.mkdir()
    pool, spans = request.param
    command = [
        "celery",
        "-A",
        APP,
        "worker",
        "--pool",
        pool,
        "--concurrency",
        "1",
        "--without-gossip",
        "--without-mingle",
    ]
    off = "celery" if spans == "no span" else ""
    with LocalProvider("openai") as first, LocalProvider("anthropic") as second:
        with running(
            command, place / "log", (first, second), off=off, QUEUE=str(queue), OTEL_FAILOVER_INFER_WITHIN=str(WITHIN)
        ) as worker:
            yield Service(worker, first, second, traced=not off)


@pytest.fixture
def worker(started: Service) -> Service:
    started.restart()
    return started


def work(worker: Service, *tasks: tuple[str, list[str]], calls: int) -> list[Exported]:
    """Send tasks, where there is no span; return what the worker exports."""
    before = {span.span_id for span in worker.server.spans}
    queue = worker.server.environment["QUEUE"]
    with celery.Celery("sender", broker="filesystem://", set_as_current=False) as sender:
        sender.conf.broker_transport_options = {"data_folder_in": queue, "data_folder_out": queue}
        sender.conf.control_folder = queue
        for name, arguments in tasks:
            sender.send_task(f"{APP}.{name}", arguments)
    return worker.new(before, calls)


def test_a_loop(worker: Service) -> None:
    spans = work(worker, ("loop", ["Why does a task ask?"]), calls=2)
    check_failover(spans)
    if worker.traced:
        assert len({span.trace_id for span in spans}) == 1


def test_a_loop_that_nobody_answers(worker: Service) -> None:
    if not worker.traced:
        pytest.skip(SILENT)
    worker.second.program(Answer.anthropic_overloaded())
    spans = work(worker, ("loop", ["Why does nobody answer?"]), calls=2)
    check_failover(spans, outcome="exhausted", reasons=("billing", "overloaded"))


# --- what is none -----------------------------------------------------------------------------------------------------


def test_a_task_that_is_tried_again(worker: Service) -> None:
    worker.first.program(Answer.openai_server_error(), Answer.ok("a"))
    check_none(work(worker, ("again", ["Why twice?"]), calls=3), calls=3)


def test_many_documents(worker: Service) -> None:
    """A job over several, by turns by one model and the other; those of the first all fail."""
    jobs = [("one", [f"What does document {number} say?", ("gpt", "claude")[number % 2]]) for number in range(4)]
    check_none(work(worker, *jobs, calls=4), calls=4)
