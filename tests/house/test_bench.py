"""The benchmark compares like with like, and runs; nothing here looks at a clock."""

from __future__ import annotations

import json
import logging
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("openai")
pytest.importorskip("opentelemetry.instrumentation.genai.openai")

from bench import counted, micro, overhead
from bench.contenders import CONTENDERS, Contender, Ours, assert_same_names, shape_of, two_failures
from bench.figures import Figure
from bench.stage import cases, refused, silent, success
from otel_failover._core.failsafe import text_of

if TYPE_CHECKING:
    from pathlib import Path

SPANS = {"nothing": 0, "by_hand": 3, "genai_openai": 1, "ours": 3, "ours_bare": 3, "ours_outside": 1}


def test_the_hand_written_loop_says_exactly_what_ours_says() -> None:
    """Same span names, kinds, statuses, attribute names, events and metrics: else the ratio compares nothing."""
    assert_same_names(cases())


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda each: each.name)
def test_every_contender_answers_every_case(contender: type[Contender]) -> None:
    for case in cases():
        assert len(shape_of(contender, case).spans) == SPANS[contender.name], case.name


def test_contenders_leave_no_wrapper_behind() -> None:
    for contender in CONTENDERS:
        with contender() as made:
            pass
        made.telemetry.shutdown()
    assert shape_of(Contender, success()).spans == ()


def test_the_incident_is_one_mismatch_and_its_honest_twin_is_none() -> None:
    first, second = refused(), silent()
    for stale, expected in ((True, 1), (False, 0)):
        with Ours() as ours:
            two_failures(first, second, stale=stale)
            data = ours.telemetry.reader.get_metrics_data()
        ours.telemetry.shutdown()
        counted = [
            getattr(point, "value", 0)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "failover.attribution.mismatches"
            for point in metric.data.data_points
        ]
        assert sum(counted) == expected


def test_rows_and_budget_are_made_from_what_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = overhead.rows(overhead.measure(cases(), rounds=2, calls=2))
    small = {
        "foreign": micro.foreign_spans(2, 2),
        "mismatch": micro.mismatch(2, 1),
        "chunk": micro.per_chunk(2, 1),
        "growth": {2: Figure(10.0, 9.0, 11.0), 200: Figure(20.0, 19.0, 21.0)},
        "alive": micro.alive_growth(2, 4, alive=2),
        "import": (1.0, ()),
        "memory": micro.memory(8),
    }
    lines = overhead.budget(table, small)
    overhead.show(table, lines)
    shown = capsys.readouterr().out
    assert all(line.what in shown for line in lines)
    (growth,) = [line for line in lines if line.what.startswith("an attempt in a chain")]
    assert (growth.measured, growth.ok) == (2.0, False)
    (tmp_path / "figures.json").write_text(overhead.as_json(table, lines), encoding="utf-8")
    assert len(json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["contenders"]) == len(table)


def test_what_is_executed_is_counted_alike_each_time_and_every_call_of_it() -> None:
    def work(times: int) -> None:
        for _ in range(times):
            len("each")

    counted.executed(partial(work, 1))
    counts = {times: {counted.executed(partial(work, times)) for _ in range(3)} for times in (0, 10, 1000)}
    assert all(len(each) == 1 for each in counts.values())
    none, ten, thousand = (min(each) for each in counts.values())
    assert 0 < none < ten
    assert thousand - none == 100 * (ten - none)
    before = sys.gettrace()
    with pytest.raises(ZeroDivisionError):
        counted.executed(lambda: 1 / 0)
    assert sys.gettrace() is before


def test_functions_of_this_package_are_counted_and_nobody_elses() -> None:
    def work(times: int) -> None:
        for _ in range(times):
            text_of("each")
            json.dumps([])

    assert [counted.calls(partial(work, times)) for times in (0, 1, 100)] == [0, 1, 100]
    assert counted.entered(partial(work, 1))[0].startswith("_core/failsafe.py:text_of")
    with pytest.raises(ZeroDivisionError):
        counted.entered(lambda: 1 / 0)
    assert sys.getprofile() is None


def test_a_contender_that_does_more_is_counted_dearer() -> None:
    added = counted.per_case()
    for case, counts in added.items():
        assert counts["nothing"] == 0, case
        assert counts["ours"] > counts["ours_outside"] > 0, case
    assert added["success"]["ours"] > added["success"]["by_hand"] > 0


@pytest.mark.parametrize(("measured", "code"), [(1.0, 0), (1.5, 0), (1.51, 1)])
def test_the_gate_is_what_is_counted_never_what_is_timed(
    measured: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = overhead.Line("slow as never before", 1.2, 99.0, "x")
    monkeypatch.setattr(overhead, "measure", lambda *_: {})
    monkeypatch.setattr(overhead, "measure_small", lambda **_: {})
    monkeypatch.setattr(overhead, "budget", lambda *_: [slow])
    monkeypatch.setattr(counted, "gates", lambda: [counted.Gate("a run", measured, 1.5)])
    logger = logging.getLogger("otel_failover")
    before = logger.level
    assert overhead.main(["--gate"]) == code
    assert "99.00 x  OVER" in capsys.readouterr().out
    assert logger.level == before


def test_importing_the_package_imports_no_sdk() -> None:
    assert micro.import_time(1)[1] == ()
