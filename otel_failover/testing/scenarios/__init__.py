"""Cases that fallback loops in use have got wrong, tried against any loop: real requests, made-up providers.

    pytest -p otel_failover.testing.plugin --failover-scenarios my.module:call

or from code, without pytest:

    from otel_failover.testing.scenarios import try_loop

    for result in try_loop(call):
        print(result.case, result.verdict, result.happened)

A loop is judged by what any caller can see of it, and by what the candidates were really asked; whether it uses
`otel-failover` makes no difference. Nothing here imports an SDK, OpenTelemetry or pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_failover.testing.scenarios.cases import CASES, Case
from otel_failover.testing.scenarios.contract import Call, NoSuchCallError, Target, load
from otel_failover.testing.scenarios.judging import Result, judge
from otel_failover.testing.scenarios.playing import Conditions, play

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CASES", "Call", "Case", "Conditions", "NoSuchCallError", "Result", "Target", "load", "try_case", "try_loop"]


def try_case(case: Case, call: Call, conditions: Conditions | None = None) -> Result:
    """Try a loop in one case.

    Args:
        case: One of `CASES`.
        call: The loop.
        conditions: Under which; the usual ones by default.

    Returns:
        What it did. Nothing that the loop raises leaves here, and a loop that hangs is left behind at the deadline.
    """
    return judge(play(case, call, conditions or Conditions()))


def try_loop(call: Call, conditions: Conditions | None = None, cases: Iterable[Case] = CASES) -> list[Result]:
    """Try a loop in every case.

    Args:
        call: The loop.
        conditions: Under which; the usual ones by default.
        cases: Which; all by default.
    """
    return [try_case(case, call, conditions) for case in cases]
