"""What runs below a guard cannot raise into the host."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover._core import failsafe

if TYPE_CHECKING:
    from collections import Counter


def fails() -> int:
    raise ValueError("x")


def test_a_failure_is_counted_logged_once_and_gives_the_fallback(
    our_failures: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    guarded = failsafe.guarded(fallback=5)(fails)
    assert (guarded(), guarded()) == (5, 5)
    assert list(our_failures.values()) == [2]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "goes on without it" in record.getMessage()


def test_a_broken_log_filter_of_the_host_stops_nobody(our_failures: Counter[str]) -> None:
    def broken(_: logging.LogRecord) -> bool:
        raise ZeroDivisionError

    logger = logging.getLogger("otel_failover")
    logger.addFilter(broken)
    try:
        assert failsafe.guarded(fallback=5)(fails)() == 5
    finally:
        logger.removeFilter(broken)
    assert list(our_failures.values()) == [1]


def test_in_strict_mode_it_is_raised(our_failures: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_FAILOVER_STRICT", "1")
    with pytest.raises(ValueError, match="x"):
        failsafe.guarded(fallback=5)(fails)()
    assert list(our_failures.values()) == [1]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_passes(stop: type[BaseException], our_failures: Counter[str]) -> None:
    def interrupted() -> Any:
        raise stop

    with pytest.raises(stop):
        failsafe.guarded(fallback=5)(interrupted)()
    assert not our_failures
