"""Haystack's FallbackChatGenerator beside Haystack's own spans and those of others."""

from __future__ import annotations

import importlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("haystack")

from haystack import Pipeline
from haystack.components.generators.chat import FallbackChatGenerator
from haystack.tracing.tracer import disable_tracing, enable_tracing

from tests.beside.chains import FEW, MIDWAY, OPENAI, Path, check_attempts, shown
from tests.integrations.loops.test_haystack import Bench, asked, through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.beside.counting import Beside

ways = pytest.mark.parametrize("how", ["run", "run_async"])


@pytest.fixture(autouse=True)
def native(beside: Beside) -> Iterator[None]:
    """Let Haystack export its own spans too, where the package for it is there."""
    try:
        opentelemetry = importlib.import_module("haystack.tracing.opentelemetry")
    except ImportError:
        opentelemetry = pytest.importorskip("haystack_integrations.tracing.opentelemetry")
    beside.members.add("haystack")
    enable_tracing(opentelemetry.OpenTelemetryTracer(beside.provider.get_tracer("haystack")))
    yield
    disable_tracing()


def ask(path: Path, how: str, *, pipeline: bool = False, **options: Any) -> Any:
    """Ask the component, or a pipeline that holds it."""
    with ExitStack() as stack:
        bench = Bench(stack)
        stack.callback(bench.close)
        fallback = FallbackChatGenerator([bench.openai(*path.first, retries=path.retries), bench.claude(*path.second)])
        said = in_a_pipeline(bench, fallback, how) if pipeline else asked(bench, fallback, how, **options)
        return shown(said), bench.asked


def in_a_pipeline(bench: Bench, fallback: Any, how: str) -> Any:
    made = Pipeline()
    made.add_component("llm", fallback)
    try:
        return through(made, bench, how)["llm"]["replies"][0].text
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


def check(beside: Beside, work: Callable[[], Any]) -> None:
    _, found = beside.honest(work)
    check_attempts(beside, found)


@ways
@pytest.mark.parametrize("path", OPENAI)
def test_a_component(beside: Beside, path: str, how: str) -> None:
    check(beside, lambda: ask(OPENAI[path], how))


@ways
@pytest.mark.parametrize("path", FEW)
def test_a_pipeline(beside: Beside, path: str, how: str) -> None:
    check(beside, lambda: ask(OPENAI[path], how, pipeline=True))


@pytest.mark.parametrize("path", [*FEW, *MIDWAY])
def test_streams(beside: Beside, path: str) -> None:
    check(beside, lambda: ask((OPENAI | MIDWAY)[path], "run", streaming_callback=lambda chunk: None))
