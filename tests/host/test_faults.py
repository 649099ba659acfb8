"""A bug of our own, wherever it is, never reaches the host."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Final

import pytest

from tests.support.process import in_a_process

ASKED: Final = os.environ.get("FAILOVER_FAULTS", "0")
"""`all`, or which of our functions to begin with: every so many of them is tried."""
STEP: Final = 1 if ASKED == "all" else 12
START: Final = 0 if ASKED == "all" else int(ASKED)
_CODE: Final = """
    logging.getLogger("otel_failover").propagate = False
    logging.getLogger("otel_failover").addHandler(logging.NullHandler())
    from tests.host import a_pass
    for found in a_pass.{what}:
        a_pass.say(found)
"""


def _found(what: str) -> list[dict[str, Any]]:
    printed = in_a_process(_CODE.format(what=what), timeout=600)
    return [json.loads(line) for line in re.findall(r"^FOUND (.*)$", printed, re.MULTILINE)]


@pytest.fixture(scope="module")
def passes() -> list[dict[str, Any]]:
    """What ran in a pass of a loop, and what became of a pass with a fault in each of some functions of ours."""
    return _found(f"passes({STEP}, {START})")


def test_most_of_us_runs_below_a_guard(passes: list[dict[str, Any]]) -> None:
    """The rest is what a host calls by itself, or its SDKs in its stead: it does little, and is looked at by hand."""
    assert passes[0]["guarded"] > 200
    assert len(passes[0]["bare"]) * 5 < passes[0]["guarded"], passes[0]["bare"]


def test_a_failure_of_our_own_never_reaches_the_host(passes: list[dict[str, Any]]) -> None:
    """Same results and exceptions; counted, and logged once per site with its traceback."""
    assert len(passes) > 1
    for each in passes[1:]:
        assert each["hits"], each["place"]
        assert each["same"], each["place"]
        assert each["counted"] or "planted" in "".join(each["said"]), each["place"]
        sites = [site for line in each["said"] for site in re.findall(r"otel-failover failed in (\S+)", line)]
        assert sorted(sites) == sorted(each["counted"]), "each site is logged, once"
        for line in each["said"]:
            assert "failed in" not in line or "RuntimeError: planted" in line, each["place"]


def test_a_failure_of_our_own_loses_facts_but_few_spans() -> None:
    """While an attempt and its run end, most of what runs finds out and writes; what ends the spans is little."""
    found = _found("endings()")
    lost = [each["place"] for each in found if each["spans"] != ["candidate openai", "failover chat"]]
    assert len(found) > 100
    assert len(lost) * 6 < len(found), lost
