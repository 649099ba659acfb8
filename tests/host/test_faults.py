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
_CODE: Final = f"""
    logging.getLogger("otel_failover").propagate = False
    logging.getLogger("otel_failover").addHandler(logging.NullHandler())
    from tests.host import a_pass
    for each in a_pass.passes({STEP}, {START}):
        a_pass.say("PASS", each)
    for each in a_pass.endings():
        a_pass.say("END", each)
"""

Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def printed() -> str:
    """What is found out in a process of its own, where our failures are not raised."""
    return in_a_process(_CODE, timeout=600)


def _lines(kind: str, printed: str) -> Found:
    return [json.loads(line) for line in re.findall(rf"^{kind} (.*)$", printed, re.MULTILINE)]


@pytest.fixture(scope="module")
def passes(printed: str) -> Found:
    """What ran in a pass of a loop, and what became of a pass with a fault in each of some functions of ours."""
    return _lines("PASS", printed)


def test_most_of_us_runs_below_a_guard(passes: Found) -> None:
    """The rest is what a host calls by itself, or its SDKs in its stead: it does little, and is looked at by hand."""
    assert passes[0]["guarded"] > 200
    assert len(passes[0]["bare"]) * 5 < passes[0]["guarded"], passes[0]["bare"]


def test_a_failure_of_our_own_never_reaches_the_host(passes: Found) -> None:
    """Same results and exceptions; counted, and logged once per site with its traceback."""
    assert len(passes) > 1
    for each in passes[1:]:
        assert each["hits"], each["place"]
        assert each["same"], each["place"]
        assert each["counted"] or "planted" in "".join(each["said"]), each["place"]
        sites = [site for line in each["said"] for site in re.findall(r"otel-failover failed in (\S+)", line)]
        assert sorted(sites) == sorted(each["counted"]), "each site is logged, once"
        for line in each["said"]:
            # Where the gate itself fails, nothing that has not passed it is said.
            said = ("RuntimeError: planted", "RuntimeError: …")[: 2 if "text" in each["place"].split(".") else 1]
            assert "failed in" not in line or any(words in line for words in said), each["place"]


def test_a_failure_of_our_own_loses_facts_but_few_spans(printed: str) -> None:
    """While an attempt and its run end, most of what runs finds out and writes; what ends the spans is little."""
    found = _lines("END", printed)
    lost = [each["place"] for each in found if each["spans"] != ["candidate openai", "failover chat"]]
    assert len(found) > 100
    assert len(lost) * 6 < len(found), lost
