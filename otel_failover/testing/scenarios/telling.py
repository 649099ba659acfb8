"""What was found, for people and for machines: a case in sentences, all cases in a table, all in one document."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from otel_failover.testing.scenarios.judging import FAULTS, NOTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_failover.testing.scenarios.cases import Case
    from otel_failover.testing.scenarios.judging import Result

__all__ = ["document", "sentences", "table"]

_WIDTH = 100


def sentences(case: Case, result: Result) -> str:
    """Return a case as a person reads it: what happened, what the loop did, what would have been right.

    Args:
        case: Which.
        result: What the loop did in it.
    """
    lines = [
        f"{case.name}: {result.verdict}",
        f"  What happened:   {case.situation}",
        f"  What it did:     {result.happened}",
        f"  What is right:   {result.right[0].upper()}{result.right[1:]}.",
    ]
    indent = " " * 19
    return "\n".join("\n".join(textwrap.wrap(line, _WIDTH, subsequent_indent=indent)) for line in lines)


def table(results: Iterable[Result]) -> list[str]:
    """Return a line for each case, with a head: case, verdict, seconds, how often each candidate was asked.

    Args:
        results: In the order in which they were tried.
    """
    found = list(results)
    wide = max([len(each.case) for each in found] + [len("case")])
    lines = [f"  {'case':{wide}}  {'what the loop did':22}  {'took':>6}  asked"]
    for each in found:
        sign = "x" if each.is_fault else "-" if each.verdict in NOTES else " "
        asked = "·".join(map(str, each.requests))
        lines.append(f"{sign} {each.case:{wide}}  {each.verdict:22}  {each.seconds:4.1f} s  {asked}")
    faults = sum(each.is_fault for each in found)
    left = sum(each.verdict == "not tried" for each in found)
    lines.append(f"{len(found) - left} cases tried, {faults} wrong" + (f", {left} not tried" if left else ""))
    meant = dict.fromkeys(each.verdict for each in found if each.is_fault)
    return lines + [f"  {verdict}: {FAULTS[verdict]}" for verdict in meant]


def document(results: Sequence[Result]) -> dict[str, Any]:
    """Return what was found as JSON has it: for each case verdict, sentence and requests; seconds are left out.

    Args:
        results: In the order in which they were tried.
    """
    return {
        each.case: {"verdict": each.verdict, "happened": each.happened, "requests": list(each.requests)}
        for each in results
    }
