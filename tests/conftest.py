"""Fixtures of the whole suite: strict mode, fresh providers, and spans as they are exported.

An exporter that serialises at export time: the in-memory exporter keeps the object, so an annotation made too late
would still look right.
"""

from __future__ import annotations

import functools
import gc
import importlib.metadata
import logging
import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

os.environ["OTEL_FAILOVER_STRICT"] = "1"
os.environ.setdefault("ANTHROPIC_OPEN_TELEMETRY_PROPAGATION", "false")

import pytest
from opentelemetry import context as context_api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_failover import FailoverInstrumentor
from otel_failover._core import failsafe
from tests.environments import NOT_QUICK, PYTHONS, QUICK
from tests.support import planted
from tests.support.spans import SerialisingExporter, Telemetry

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

TESTS: Final = Path(__file__).parent
MUST_HAVE: Final = os.environ.get("FAILOVER_MUST_HAVE", "").split()
"""Modules that an environment was made for: where one of them cannot be imported, its tests fail instead of skipping."""
DECLARED: Final = (
    "integrations/loops",
    "core/summary",
    "truth/test_honest",
    "truth/test_incident",
    "truth/test_reports",
)
"""Tests whose loops are declared, all of them."""
_import_or_skip: Final = pytest.importorskip


def _import_or_fail(
    modname: str,
    minversion: str | None = None,
    reason: str | None = None,
    *,
    exc_type: type[ImportError] | None = None,
) -> Any:
    """Import what has to be here; skip only for want of anything else."""
    if any(f"{modname}.".startswith(f"{needed}.") for needed in MUST_HAVE):
        return importlib.import_module(modname)
    return _import_or_skip(modname, minversion, reason, exc_type=exc_type)


if MUST_HAVE:
    pytest.importorskip = _import_or_fail


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import only what is quick, or can differ in another Python, where only that is asked for."""
    chosen = {"quick": QUICK, "python": tuple(PYTHONS)}.get(config.option.markexpr)
    name = collection_path.relative_to(TESTS).as_posix()
    if config.option.markexpr == "quick" and name.startswith(NOT_QUICK):
        return True
    if chosen is None or collection_path.suffix != ".py" or name.startswith(chosen):
        return None
    return None if any(each.startswith(name) for each in chosen) else True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `environments.py` says is quick, or can differ in another Python.

    And let what litellm leaves behind be collected whenever: connections of event loops that are over complain then.
    """
    for item in items:
        name = f"{item.path.relative_to(TESTS).as_posix()}::{item.nodeid.partition('::')[2]}"
        waits = "hang" in item.name or item.get_closest_marker("slow") is not None
        if name.startswith(QUICK) and not name.startswith(NOT_QUICK) and not waits:
            item.add_marker(pytest.mark.quick)
        if name.startswith(tuple(PYTHONS)):
            item.add_marker(pytest.mark.python)
        if "litellm" in sys.modules:
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


def pytest_collection_finish() -> None:
    """Look no more through what was imported, which is there to stay, each time that a test collects garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Iterator[None]:
    """Read the certificates once: every client makes a context of its own, and none of them speaks TLS here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_look_at_what_is_installed() -> Iterator[None]:
    """Read each distribution's version once: we ask for all that we know whenever we are turned on, here each test."""
    version = importlib.metadata.version
    known: dict[tuple[str, ...], str | None] = {}

    def remembered(distribution_name: str) -> str:
        asked = (distribution_name, *sys.path)
        if asked not in known:
            try:
                known[asked] = version(distribution_name)
            except importlib.metadata.PackageNotFoundError:
                known[asked] = None
        found = known[asked]
        if found is None:
            raise importlib.metadata.PackageNotFoundError(distribution_name)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.metadata, "version", remembered)
        yield


@pytest.fixture(autouse=True)
def no_context_leaks() -> Iterator[None]:
    """Fail a test that leaves something current, or in which telemetry failed by itself."""
    before = context_api.get_current()
    failures = dict(failsafe.failures)
    yield
    assert context_api.get_current() == before, "a test left a context attached"
    assert dict(failsafe.failures) == failures, "otel-failover failed inside a test"


@pytest.fixture
def our_failures() -> Iterator[Counter[str]]:
    """Failures of our own that a test expects, by site: those since it began, not raised, and forgotten at its end."""
    before = failsafe.failures.copy()
    failsafe.failures.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OTEL_FAILOVER_STRICT")
        yield failsafe.failures
    failsafe.failures.clear()
    failsafe.failures.update(before)


@functools.cache
def resource() -> Resource:
    """Return what the SDK finds out about this process, in threads of its own: once for all tests."""
    return Resource.create()


@pytest.fixture
def telemetry(request: pytest.FixtureRequest) -> Iterator[Telemetry]:
    """Instrument everything that is installed, with providers of its own, and take it off again.

    At the end no planted key may be in anything that has left: spans, metrics, log lines. And no run may have been
    inferred where every loop is declared, by a library's adapter or by hand.
    """
    exporter = SerialisingExporter()
    provider = TracerProvider(resource=resource())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    reader = InMemoryMetricReader()
    meter_provider = MeterProvider(metric_readers=[reader], resource=resource())
    lines = planted.Lines()
    logging.getLogger("otel_failover").addHandler(lines)
    FailoverInstrumentor().instrument(tracer_provider=provider, meter_provider=meter_provider)
    found = Telemetry(provider, exporter, reader)
    yield found
    try:
        planted.check(found, lines.written)
        if request.path.relative_to(TESTS).as_posix().startswith(DECLARED):
            assert [span for span in found.spans if span["failover.library"] == "inferred"] == [], "nobody's run"
    finally:
        logging.getLogger("otel_failover").removeHandler(lines)
        FailoverInstrumentor().uninstrument()
        provider.shutdown()
        meter_provider.shutdown()


@pytest.fixture
def switch_on(request: pytest.FixtureRequest) -> Callable[[], Telemetry]:
    """Return what turns us on in the middle of a test."""
    return lambda: request.getfixturevalue("telemetry")
