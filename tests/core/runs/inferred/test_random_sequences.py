"""Random sequences of calls, held against an oracle that knows one thing at a time: what each task has failed at."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest

from otel_failover import FailoverInstrumentor
from tests.core.runs.inferred.played import play, runs_told

if TYPE_CHECKING:
    from tests.support.spans import Telemetry

SEEDS: Final = range(24)
LENGTH: Final = 9


@dataclass
class Expected:
    """A run as the oracle has it: when it began, its words, and what it knows of its end."""

    began: int
    words: list[str]
    served: str = ""
    last_failure: int = -1
    is_doubtful: bool = False

    def told(self, answered_outside: list[int]) -> str:
        outcome = "exhausted"
        if self.is_doubtful:
            outcome = "unseen"
        elif self.served:
            outcome = "primary" if self.served == self.words[0][0] else "fallback"
        elif any(at > self.last_failure for at in answered_outside):
            outcome = "unseen"
        return " ".join([*self.words, outcome])


@dataclass
class Mind:
    """What one task has in mind of one question: what it has failed at, and the run that this has become."""

    failed: list[tuple[int, str]] = field(default_factory=list)
    run: Expected | None = None


def expected(words: list[tuple[str, str, str, str]]) -> list[str]:
    """Return the runs of calls one after the other, by tasks that are still at work, in one trace."""
    minds: dict[tuple[str, str], Mind] = {}
    answers: list[tuple[str, str]] = []
    outside: list[int] = []
    runs: list[Expected] = []
    for at, (who, candidate, question, answer) in enumerate(words):
        mind = minds.setdefault((who, question), Mind())
        run, others = mind.run, {each for _, each in mind.failed} - {candidate}
        third = {each for asked, each in answers if asked == question} - {candidate, *others}
        is_alone = True
        if run is not None and not run.served:
            is_alone = False
        elif others:
            if not third:
                run = mind.run = Expected(mind.failed[0][0], [f"{each}-" for _, each in mind.failed])
                runs.append(run)
                mind.failed = []
                is_alone = False
        elif mind.failed:
            if answer == "+":
                mind.failed = []  # a retry that is answered is no failover
        elif run is not None:
            if candidate in {word[0] for word in run.words}:
                mind.run = None
            else:
                run.is_doubtful, is_alone = True, False
        if not is_alone and run is not None:
            run.words.append(candidate + answer)
            run.served = candidate if answer == "+" else run.served
            run.last_failure = at if answer == "-" else run.last_failure
        elif answer == "-":
            mind.failed.append((at, candidate))
        if answer == "+":
            outside += [at] if is_alone else []
            if any(each.failed or each.run for each in minds.values()):
                answers.append((question, candidate))
                for (_, asked), each in minds.items():
                    if asked == question and each is not mind and each.run is not None:
                        each.run.last_failure = -2  # something was answered that may have served it, whenever it began
                        outside.append(at)
    return [run.told(outside) for run in sorted(runs, key=lambda run: run.began)]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_calls_are_the_runs_that_the_oracle_says(telemetry: Telemetry, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret
    words = [(dice.choice("112"), dice.choice("ABC"), dice.choice("112"), dice.choice("---++")) for _ in range(LENGTH)]
    sequence = " ".join(f"{who}:{candidate}{question}{answer}" for who, candidate, question, answer in words)
    play(telemetry, sequence, dice.choice(["span", "each"]))
    FailoverInstrumentor().uninstrument()
    assert runs_told(telemetry) == expected(words), sequence


def test_the_oracle_says_something_in_most_of_them() -> None:
    found = []
    for seed in SEEDS:
        dice = random.Random(seed)  # noqa: S311 - no secret
        found.append(
            expected(
                [
                    (dice.choice("112"), dice.choice("ABC"), dice.choice("112"), dice.choice("---++"))
                    for _ in range(LENGTH)
                ]
            )
        )
    assert sum(map(bool, found)) > len(SEEDS) * 2 // 3
    assert {run.split()[-1] for each in found for run in each} >= {"fallback", "exhausted", "unseen"}
