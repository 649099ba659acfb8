"""Which open span belongs to which attempt, and which runs happen inside it: by span id, while the spans are open.

Runs and attempts write it, the processor reads it; it knows neither, so that neither has to know the other.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.attribution.facts import Verdict
    from otel_failover._core.attribution.source import Source
    from otel_failover._core.domain.candidate import Candidate

    class Judge(Protocol):
        """An attempt, as far as the processor asks: whose it is, and what its evidence makes of a claim."""

        @property
        def provider(self) -> str:
            """The candidate's provider."""

        @property
        def model(self) -> str:
            """The candidate's model."""

        @property
        def index(self) -> int:
            """The candidate's place in the chain."""

        @property
        def secrets(self) -> tuple[str, ...]:
            """Credentials that may not leave."""

        def inherited(self) -> dict[str, Any]:
            """Return the attributes that stand on every span started inside it."""

        def judge(self, claim: Claim) -> Verdict:
            """Hold one claim against its evidence."""

        def is_at(self, address: tuple[str, int | None]) -> bool:
            """Whether a host, and a port where one is named, is the candidate's."""

        def evidence_sentence(self) -> str:
            """Return its own evidence in a few words."""

    class EnclosedRun(Protocol):
        """A run, as far as a span around it is concerned."""

        def split_by(self, named: Callable[[Candidate], bool]) -> tuple[list[Source], list[Source]]:
            """Return what its attempts at the candidates that a span names can be held against, and all the others."""


OPEN: Final = 16_384
"""At most so many spans of others are kept track of; the oldest go first."""
_ENCLOSING: Final = 1_024
_RUNS: Final = 16


class Enclosing:
    """Which spans enclose which runs, passed on from child to parent as spans end."""

    def __init__(self) -> None:
        self._runs: OrderedDict[int, list[EnclosedRun]] = OrderedDict()

    def begin(self, span_id: int, run: EnclosedRun) -> None:
        """Take note that a run begins inside a span."""
        runs = self._runs.setdefault(span_id, [])
        if len(runs) >= _RUNS:
            runs.pop(0)
        runs.append(run)
        while len(self._runs) > _ENCLOSING:
            self._runs.popitem(last=False)

    def take(self, span_id: int, parent: int | None) -> list[EnclosedRun]:
        """Return the runs inside a span that ends, and hand them to the span around it."""
        # A run is known to the innermost span around it only; each span that ends hands it to its parent, so that the
        # operation's own span, the server's and a batch's are all judged by it, and none is asked before its turn.
        runs = self._runs.pop(span_id, [])
        if runs and parent is not None:
            above = self._runs.setdefault(parent, [])
            above.extend(run for run in runs if run not in above)
            del above[:-_RUNS]
        return runs

    def __len__(self) -> int:
        return len(self._runs)


enclosing: Final = Enclosing()
own_spans: Final[dict[int, Judge]] = {}
"""Attempts by our own spans, the candidate's and its calls'."""
bound: Final[OrderedDict[int, Judge]] = OrderedDict()
"""Attempts by the spans of others that were started inside them."""


def own(span: Any, judge: Judge) -> None:
    """Remember that one of our own spans is an attempt's, while both are open."""
    if span.is_recording():
        own_spans[span.get_span_context().span_id] = judge


def disown(span_id: int) -> None:
    """Forget one of our own spans."""
    own_spans.pop(span_id, None)
