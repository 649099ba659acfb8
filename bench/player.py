"""One contender in a process of its own: it is told whom to ask and how often, and answers how long that took.

Put on once, as in a service; nothing of the others is in its memory. Before the first call it shows what it makes, and
when it is over, that it has made as much as it was asked.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import claims, peers, stage
from bench.contenders import CONTENDERS, Contender
from bench.figures import settle, timed
from bench.stage import RECORDING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CASES: Final[dict[str, Callable[[], Any]]] = {
    "success": stage.success,
    "429": stage.refused,
    "stream": stage.stream,
    "by wire": stage.by_wire,
    "in turn": stage.in_turn,
    "agent: answered": peers.answered,
    "agent: two refused": peers.two_refused,
}
MAKES: Final[dict[str, type[Contender]]] = {make.name: make for make in (*CONTENDERS, *peers.PEERS, *peers.AGENTS)}
CALLS: Final = {"stream": 4, "agent: answered": 4, "agent: two refused": 2}
"""Calls of a block, by case: blocks are short, so that some are undisturbed on the busiest machine."""
USUAL_CALLS: Final = 12


class Player:
    """A contender that is on.

    Args:
        make: Who.
        kind: Of telemetry.
        cases: What it is asked; all that it can be where it is left out.
    """

    def __init__(self, make: type[Contender], kind: str = RECORDING, cases: Sequence[str] = ()) -> None:
        self._contender = make(kind=kind)
        self._kind = kind
        self._contender.put_on()
        self._cases = {name: CASES[name]() for name in cases or make.asked}
        self._wanted: Counter[tuple[str, str]] = Counter()

    def warm(self, blocks: int = 4) -> None:
        """Hold what it makes against what it has to make, and let the interpreter get used to it.

        Args:
            blocks: Of each case.

        Raises:
            Broken: Says what is wrong.
        """
        for name in self._cases:
            self.look(name)
            for _ in range(blocks):
                self.block(name)
        settle()

    def look(self, case: str) -> None:
        """Ask once, and hold the spans, whole, against those that have to be there.

        Args:
            case: What is asked.

        Raises:
            Broken: Says what is wrong.
        """
        exported = self._contender.telemetry.exported
        exported.kept = []
        self._ask(case, 1)
        wanted = claims.EXPECTED[self._contender.name][case] if self._kind == RECORDING else ()
        claims.compare(f"{self._contender.name}, {self._kind}, {case}", exported.kept, wanted)
        exported.kept = None

    def block(self, case: str) -> float:
        """Return the microseconds of CPU time of one call, the mean of a block; the export of its spans is part of it.

        Args:
            case: What is asked.
        """
        calls = CALLS.get(case, USUAL_CALLS)
        return timed(partial(self._ask, case, calls), 1) / calls

    def over(self) -> None:
        """Hold what it has made against what it was asked.

        Raises:
            Broken: Says what is missing.
        """
        self._contender.telemetry.flush()
        made = self._contender.telemetry.exported.seen
        if made != self._wanted:
            lost, more = self._wanted - made, made - self._wanted
            raise claims.Broken(f"{self._contender.name}, {self._kind}: lost {dict(lost)}, made besides {dict(more)}")
        metric = claims.COUNTS.get(self._contender.name)
        names = {name for name, _, _ in self._contender.telemetry.counted()}
        if metric is not None and self._kind != stage.WITHOUT_SDK and metric not in names:
            raise claims.Broken(f"{self._contender.name}, {self._kind}: {metric} has counted nothing")
        claims.assert_no_failures(self._contender.name)

    def take_off(self) -> None:
        """Leave no wrapper behind, where that can be."""
        self._contender.take_off()
        self._contender.telemetry.shutdown()

    def _ask(self, case: str, calls: int) -> None:
        run, asked = self._contender.run, self._cases[case]
        for _ in range(calls):
            run(asked)
        self._contender.telemetry.flush()
        if self._kind == RECORDING:
            for made, count in claims.counts(self._contender.name, case, calls).items():
                self._wanted[made] += count


def main(arguments: list[str]) -> None:
    """Play what is asked for on standard input, one case a line; answer each on standard output, as JSON.

    Args:
        arguments: The contender's name, the kind of telemetry, the cases.
    """
    name, kind, *cases = arguments
    out, sys.stdout = sys.stdout, sys.stderr  # what others print is no answer
    player = Player(MAKES[name], kind, cases)
    player.warm()
    print(json.dumps({"ready": len(cases)}), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps({"took": player.block(line.strip())}), file=out, flush=True)
    player.over()
    print(json.dumps({"over": 1}), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
