"""All contenders in one run: each in a process of its own, one of them at work at any time, each round in a new order.

Of the many short blocks of a contender the cheapest count, in CPU time: what else the machine does only makes a block
dearer, and it does so to all alike.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bench import peers
from bench.claims import Broken
from bench.contenders import (
    CONTENDERS,
    ByHandContender,
    Contender,
    GenAIContender,
    OneSpan,
    Ours,
    OursBare,
    OursOutside,
)
from bench.figures import Figure, figure
from bench.stage import RECORDING, SAMPLED_OUT, WITHOUT_SDK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import IO

PARTS: Final = 5
"""A run's rounds are dealt into so many parts. The cheapest block of each counts; shown is the middle of these."""
_PLAYER: Final = Path(__file__).with_name("player.py")


class Key(NamedTuple):
    """Who is asked what, with which telemetry."""

    case: str
    contender: str
    kind: str = RECORDING


@dataclass(frozen=True)
class Part:
    """What one process plays.

    Args:
        contender: Its name.
        kind: Of telemetry.
        cases: In which.
    """

    contender: str
    kind: str
    cases: tuple[str, ...]


class Playing:
    """A player's process.

    Args:
        part: What it plays.
        command: What to start in its place.
    """

    def __init__(self, part: Part, command: Sequence[str] = (sys.executable, str(_PLAYER))) -> None:
        self.part = part
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._process = subprocess.Popen(
            [*command, part.contender, part.kind, *part.cases],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, text=True,
        )  # fmt: skip

    def key(self, case: str) -> Key:
        """Return where a case's figures are kept."""
        return Key(case, self.part.contender, self.part.kind)

    def ready(self) -> None:
        """Wait until it is warm.

        Raises:
            Broken: It does not make what it has to.
        """
        self._answer()

    def block(self, case: str) -> float:
        """Return the microseconds of one call in one block.

        Args:
            case: What is asked.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{case}\n")
        self._process.stdin.flush()
        return self._answer()["took"]

    def over(self) -> None:
        """Let it check what it has made.

        Raises:
            Broken: It has not made what it had to.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._answer()

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._complaints):
            if pipe is not None:
                pipe.close()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            found: dict[str, float] = json.loads(line)
            return found
        self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip()
        raise Broken(f"{self.part.contender}, {self.part.kind}: {said[-2000:]}")


def parts(*, quick: bool) -> list[Part]:
    """Return what is played, each part by a process of its own.

    Args:
        quick: Without others' instrumentations, agents, and what differs little.
    """
    base = ("success", "429", "stream")
    both = (ByHandContender, GenAIContender, Ours)
    after_failure = ("429", "in turn")
    """After a failure outside any run, calls are looked at for an inferred one: nothing else is measured meanwhile."""
    found = [Part(make.name, RECORDING, make.asked) for make in CONTENDERS if make is not OursOutside]
    found += [
        Part(OursOutside.name, RECORDING, tuple(case for case in OursOutside.asked if case not in after_failure)),
        *(Part(OursOutside.name, RECORDING, (case,)) for case in after_failure),
    ]
    kinds = [Part(make.name, kind, base[:2]) for kind in (SAMPLED_OUT, WITHOUT_SDK) for make in both]
    if quick:
        left_out = (OneSpan.name, OursBare.name)
        return [each for each in found if each.contender not in left_out] + [kinds[2], kinds[5]]
    found += kinds
    found += [Part(make.name, RECORDING, make.asked) for make in peers.PEERS if make.is_here()]
    found += [Part(make.name, RECORDING, make.asked) for make in peers.AGENTS if peers.has_agents()]
    return found


def measure(asked: Iterable[Part], rounds: int) -> dict[Key, list[float]]:
    """Return microseconds per call of each contender and case, one number per block.

    Args:
        asked: What is played.
        rounds: Blocks of each.

    Raises:
        Broken: A contender has not made what it had to.
    """
    with ExitStack() as stack:
        playing = [Playing(each) for each in asked]
        for each in playing:
            stack.callback(each.close)
        for each in playing:
            each.ready()
        turns = [(each, case) for each in playing for case in each.part.cases]
        found: dict[Key, list[float]] = {each.key(case): [] for each, case in turns}
        for _ in range(rounds):
            random.shuffle(turns)
            for each, case in turns:
                found[each.key(case)].append(each.block(case))
        for each in playing:
            each.over()
    return found


# --- what it comes to -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One contender in one case.

    Args:
        case: Which.
        contender: Who.
        kind: Of telemetry.
        total: Microseconds per call.
        added: Microseconds beyond what is bare.
        by_hand: `added` over the hand-written equivalent's, where there is one.
        genai: `added` over genai-openai's, where it is measured.
    """

    case: str
    contender: str
    kind: str
    total: Figure
    added: Figure
    by_hand: Figure | None
    genai: Figure | None


def rows(found: Mapping[Key, Sequence[float]]) -> list[Row]:
    """Return the table's rows.

    Args:
        found: As measured.
    """
    least = {key: _least(took) for key, took in found.items()}
    bare = {key.case: took for key, took in least.items() if key.contender in (Contender.name, peers.Agent.name)}
    added = {key: [one - base for one, base in zip(took, bare[key.case], strict=True)] for key, took in least.items()}

    def over(key: Key, other: str) -> Figure | None:
        divisor = added.get(Key(key.case, other, key.kind))
        return None if divisor is None else figure(_over(*pair) for pair in zip(added[key], divisor, strict=True))

    return [
        Row(
            key.case, key.contender, key.kind, figure(took), figure(added[key]),
            over(key, ByHandContender.name), over(key, GenAIContender.name),
        )
        for key, took in least.items()
    ]  # fmt: skip


def _least(blocks: Sequence[float]) -> list[float]:
    """Return the cheapest block of each part of a run."""
    count = min(PARTS, len(blocks))
    return [min(blocks[place::count]) for place in range(count)]


def _over(one: float, other: float) -> float:
    """Divide, where noise may have left nothing to divide by."""
    return one / other if other > 1.0 else one
