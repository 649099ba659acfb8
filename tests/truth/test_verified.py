"""Honest failures are verified: of every kind, through every loop that is installed."""

from __future__ import annotations

import logging
import os
import warnings

import pytest

from tests.truth.honest_failures import EVERY, EXPLAINED, STREAMED, WHOLE, share_of


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("livekit", "LiteLLM", "LiteLLM Router", "otel_failover"):
        caplog.set_level(logging.CRITICAL, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_an_honest_failure_is_verified_where_its_evidence_is_complete(name: str) -> None:
    if name == "by hand" and os.environ.get("FAILOVER_MUST_HAVE"):
        pytest.skip(
            "it needs no library: the suite has it, and an environment that is made for some need not repeat it"
        )
    loop = EVERY[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(loop.needs, exc_type=ImportError)
    found = share_of(loop)
    assert found.failed > len(WHOLE), "nothing failed"
    assert found.unexplained(name) == []


def test_what_is_explained_is_of_a_loop_and_a_kind() -> None:
    for name, kind in EXPLAINED:
        assert name in EVERY
        assert kind in {**WHOLE, **STREAMED}
