"""The benchmark compares like with like, and runs; nothing here looks at a clock."""

from __future__ import annotations

import json
import logging
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider

pytest.importorskip("openai")
pytest.importorskip("opentelemetry.instrumentation.genai.openai")

from bench import claims, counted, limits, overhead, scale, side_by_side, starting
from bench.contenders import CONTENDERS, Contender, Ours, OursOutside, assert_same_names, shape_of, two_failures
from bench.figures import Figure
from bench.player import Player
from bench.side_by_side import Key, Part
from bench.stage import RECORDING, SAMPLED_OUT, WITHOUT_SDK, Noting, cases, refused, silent, success
from otel_failover._core import failsafe
from otel_failover._core.failsafe import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bench.stage import Case

    Played = Callable[..., Player]


# --- what contenders make ---------------------------------------------------------------------------------------------


def test_the_hand_written_loop_says_exactly_what_ours_says() -> None:
    """Same span names, kinds, statuses, attribute names, events and metrics: else the ratio compares nothing."""
    assert_same_names(cases())


@pytest.mark.parametrize("kind", [RECORDING, SAMPLED_OUT, WITHOUT_SDK])
@pytest.mark.parametrize("make", CONTENDERS, ids=lambda each: each.name)
def test_every_contender_makes_the_spans_that_it_should(make: type[Contender], kind: str, played: Played) -> None:
    for case in make.asked:
        player = played(make, kind, [case])
        player.look(case)
        player.over()


@pytest.fixture
def played() -> Iterator[Played]:
    """Return what puts a player on; all are taken off."""
    players: list[Player] = []

    def play(make: type[Contender], kind: str = RECORDING, asked: Sequence[str] = ("success",)) -> Player:
        if players:
            players[-1].take_off()
        players.append(Player(make, kind, asked))
        return players[-1]

    yield play
    for player in players:
        player.take_off()


class _Idle(Ours):
    """A build that was never put on, as one that cannot be imported."""

    def put_on(self) -> None:
        """Do nothing."""


class _Hollow(Contender):
    """A build that makes the spans, and writes nothing on them."""

    name = "ours"

    def run(self, case: Case) -> None:
        """Make three spans."""
        tracer = self.telemetry.traces.get_tracer("hollow")
        with tracer.start_as_current_span("failover chat"), tracer.start_as_current_span("candidate openai"):
            with tracer.start_as_current_span("chat gpt-4o-mini"):
                case.ask()


class _Doubled(OursOutside):
    """A build that makes a span too many."""

    def run(self, case: Case) -> None:
        """Ask, in a span of one's own."""
        with self.telemetry.traces.get_tracer("doubled").start_as_current_span("once more"):
            super().run(case)


class _Uncounted(OursOutside):
    """A build that counts nothing."""

    def put_on(self) -> None:
        """Instrument, without metrics."""
        self.telemetry.metrics = NoOpMeterProvider()
        super().put_on()


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (_Idle, RECORDING, "0 spans instead of 3"),
        (_Idle, SAMPLED_OUT, "failover.attempts has counted nothing"),
        (_Hollow, RECORDING, "is None, not"),
        (_Doubled, RECORDING, "2 spans instead of 1"),
        (_Uncounted, RECORDING, "failover.attempts has counted nothing"),
    ],
)
def test_a_broken_build_is_no_fast_one(make: type[Contender], kind: str, said: str, played: Played) -> None:
    player = played(make, kind)
    with pytest.raises(claims.Broken, match=said):
        player.warm(0)
        player.over()


def test_a_build_that_breaks_while_it_is_measured_is_found_at_the_end(played: Played) -> None:
    player = played(Ours)
    player.block("success")
    player.take_off()
    player.block("success")
    with pytest.raises(claims.Broken, match="lost"):
        player.over()


def test_a_failure_of_ours_that_the_guard_hides_is_found(played: Played) -> None:
    player = played(Ours)
    player.block("success")
    player.over()
    failsafe.note("a.site", ValueError("hidden from the host"))
    try:
        with pytest.raises(claims.Broken, match=r"failover\.internal\.errors has counted .*a\.site"):
            player.over()
    finally:
        failsafe.failures.clear()


def test_what_ends_in_a_crowd_is_counted_too() -> None:
    seen = Noting()
    with pytest.raises(claims.Broken):
        scale.assert_made("ours", seen.seen, "success", 1)


@pytest.mark.parametrize("works", [True, False])
def test_the_benchmark_ends_with_a_planted_broken_build(
    works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = "from otel_failover import FailoverInstrumentor as F\nF.instrument = lambda self, **_: None\n"
    (tmp_path / "sitecustomize.py").write_text("" if works else planted, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("OTEL_FAILOVER_STRICT")
    monkeypatch.setattr(side_by_side, "parts", lambda **_: [Part("ours", RECORDING, ("success",))])
    monkeypatch.setattr(side_by_side, "rows", lambda _: [])
    monkeypatch.setattr(overhead, "measure_small", lambda **_: {})
    monkeypatch.setattr(overhead, "lines", lambda *_: [])
    assert overhead.main(["--quick", "--rounds", "2"]) == (not works)
    assert ("BROKEN: ours, recording:" in capsys.readouterr().out) is not works


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
            found = {name: value for name, _, value in ours.telemetry.counted()}
        ours.telemetry.shutdown()
        assert found.get("failover.attribution.mismatches", 0) == expected


# --- what is made of figures ------------------------------------------------------------------------------------------


def measured() -> dict[Key, list[float]]:
    """Return what a run might have measured: the bare SDK 100, by hand 120, genai 150, ours 160; one block disturbed."""
    took = {"nothing": 100.0, "by_hand": 120.0, "genai_openai": 150.0, "ours": 160.0, "ours_outside": 130.0}
    found = {Key(case, who): [each] * 10 for case in overhead.SHOWN for who, each in took.items()}
    found[Key("success", "ours", SAMPLED_OUT)] = [130.0] * 10
    found[Key("success", "ours")][3] = 9999.0
    return found


def small() -> dict[str, Any]:
    """Return what might stand beside it."""
    one = Figure(10.0, 9.0, 11.0)
    return {
        "foreign": {"outside": one, "inside": one},
        "mismatch": one,
        "chunk": {"added": one},
        "chain": {2: one, 200: Figure(20.0, 19.0, 21.0)},
        "crowds": [scale.Crowd(100, 10.0, 10.0, 2.0, 3.0)],
        "tasks": {1: {"nothing": 100.0, "ours": 110.0}, 100: {"nothing": 100.0, "ours": 120.0}},
        "threads": {1: {"nothing": 100.0, "ours": 110.0}, 16: {"nothing": 100.0, "ours": 110.0}},
        "import": starting.Start(1.0, 2, 3, ()),
        "command": starting.Start(1.0, 2, 3, ()),
        "memory": {"traced": 1.0},
    }


def test_rows_and_lines_are_made_from_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    table = side_by_side.rows(measured())
    by_hand = {(row.contender, row.kind): row for row in table if row.case == "success"}
    assert by_hand["ours", RECORDING].added.median == 60.0
    assert by_hand["ours", RECORDING].by_hand == Figure(3.0, 3.0, 3.0)
    assert by_hand["ours_outside", RECORDING].genai == Figure(0.6, 0.6, 0.6)
    assert by_hand["ours", SAMPLED_OUT].by_hand is None
    lines = overhead.lines(table, small())
    found = {line.what: (line.measured, line.ok) for line in lines}
    assert found["a run / by hand, answered"] == (3.0, False)
    assert found["sampled out / recorded, answered"] == (0.5, True)
    assert found["an attempt in the longest chain / in the shortest"] == (2.0, False)
    assert found["a call in many tasks at once, added / added alone"] == (2.0, False)
    overhead.show(table, lines)
    shown = capsys.readouterr().out
    assert all(line.what in shown for line in lines)
    gates = [counted.Gate("a run", 1.0, 1.5, 1.0)]
    kept = json.loads(overhead.as_json(table, lines, small(), gates))
    assert [len(kept[name]) for name in ("calls", "times", "counted")] == [len(table), len(lines), 1]


def test_a_goal_is_never_above_its_gate() -> None:
    assert all(limit.goal <= limit.gate for limit in limits.COUNTED.values())


# --- what is counted --------------------------------------------------------------------------------------------------


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
    monkeypatch.setattr(side_by_side, "measure", lambda *_: {})
    monkeypatch.setattr(overhead, "measure_small", lambda **_: {})
    monkeypatch.setattr(overhead, "lines", lambda *_: [slow])
    monkeypatch.setattr(counted, "gates", lambda: [counted.Gate("a run", measured, 1.5, 1.0)])
    logger = logging.getLogger("otel_failover")
    before = logger.level
    assert overhead.main(["--gate"]) == code
    assert "99.00 x  over" in capsys.readouterr().out
    assert logger.level == before


def test_importing_the_package_imports_no_sdk() -> None:
    assert starting.importing(1).others == ()


def test_a_start_is_counted_alike_each_time() -> None:
    once, again = starting.importing(1), starting.importing(1)
    assert (once.executed, once.modules) == (again.executed, again.modules)
    assert once.executed > 10_000
    assert once.modules > 10
