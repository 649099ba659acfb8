"""Which open span belongs to which attempt or run, and which runs happen inside it: by span id, while it is open.

Runs and attempts write it, the processor reads it; it knows neither, so that neither has to know the other.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_failover._core.failsafe import reached

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Mapping, Sequence

    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.attribution.enclosing import Part, Subject
    from otel_failover._core.attribution.facts import Verdict
    from otel_failover._core.attribution.from_span import Reading
    from otel_failover._core.attribution.source import Source

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

        @property
        def asked_at(self) -> float | None:
            """When its first own request was sent, in seconds of the monotonic clock; None where none was."""

        def inherited(self) -> dict[str, Any]:
            """Return the attributes that stand on every span started inside it."""

        def judge(self, claim: Claim) -> Verdict:
            """Hold one claim against its evidence."""

        def is_at(self, address: tuple[str, int | None]) -> bool:
            """Whether a host, and a port where one is named, is the candidate's."""

        def evidence_sentence(self) -> str:
            """Return its own evidence in a few words."""

    class EnclosedRun(Protocol):
        """A run, as far as spans around it and inside it are concerned.

        Attributes:
            is_over: It has ended.
        """

        is_over: bool

        @property
        def operation(self) -> str:
            """What is asked for, in the host's words."""

        @property
        def latest_ended(self) -> int:
            """The order of the attempt that ended last; 0 where none has."""

        @property
        def latest_begun(self) -> int:
            """The order of the attempt that began last, of any run."""

        @property
        def may_tell_errors(self) -> bool:
            """Whether one of its attempts has failed, or is still open and may."""

        def began_within(self, span_id: int) -> int | None:
            """Return the order of the first attempt inside a span that a loop has made for a try of its own.

            None where the span is around all of the run.
            """

        def attempts_so_far(self) -> tuple[list[Source], bool]:
            """Return what its attempts can be held against, in order, open ones included; and whether that is all."""


OPEN: Final = 16_384
"""At most so many open spans of others are kept track of, and as many that have runs inside; the oldest go first."""
_RUNS: Final = 16
_INSIDE: Final = 64


def drop_oldest(kept: OrderedDict[int, Any]) -> None:
    """Let go of the span that was opened first: it ends unjudged, which is counted, and said once.

    Args:
        kept: What is kept of open spans.
    """
    kept.popitem(last=False)
    reached("_core.spans.registry", f"more than {OPEN:,} spans are open at a time: the oldest of them are not judged")


class Enclosing(OrderedDict[int, "list[EnclosedRun]"]):
    """Which spans enclose which runs, by the spans' ids; passed on from child to parent as spans end."""

    def begin(self, span_id: int, run: EnclosedRun) -> None:
        """Take note that a run begins inside a span."""
        runs = self.setdefault(span_id, [])
        if len(runs) >= _RUNS:
            runs.pop(0)
        runs.append(run)
        if len(self) > OPEN:
            drop_oldest(self)

    def take(self, span_id: int, parent: int | None) -> list[EnclosedRun]:
        """Return the runs inside a span that ends, and hand them to the span around it."""
        # A run is known to the innermost span around it only; each span that ends hands it to its parent, so that the
        # operation's own span, the server's and a batch's are all judged by it, and none is asked before its turn.
        runs = self.pop(span_id, [])
        if runs and parent is not None:
            above = self.setdefault(parent, [])
            above.extend(run for run in runs if run not in above)
            del above[:-_RUNS]
        return runs


class Place:
    """Where a span of somebody else's stands that was started in a run, outside its attempts.

    Attributes:
        run: The run.
        ended: The order of the attempt that had ended last when the span started; 0 where none had.
        begun: The order of the attempt that had begun last by then, of any run.
        orders: Of the attempts that were begun inside the span: the first, and the last 63.
        span: The span, while it is open; None for our own.
        is_over: The span has ended.
    """

    __slots__ = ("_above", "begun", "ended", "is_over", "orders", "run", "span")

    def __init__(self, run: EnclosedRun, above: Place | None = None, span: Any = None) -> None:
        self.run, self._above, self.span = run, above, span
        self.ended, self.begun = run.latest_ended, run.latest_begun
        self.orders: list[int] = []
        self.is_over = False
        if above is not None:
            _ = above.above  # what has ended between goes: a chain of spans, each the next one's parent, keeps nothing

    @property
    def above(self) -> Place | None:
        """The place of the nearest span around it that is open."""
        while self._above is not None and self._above.is_over:
            self._above = self._above._above  # noqa: SLF001 - another of the same
        return self._above

    def left(self) -> None:
        """Take note that the span has ended, and let go of it."""
        self.is_over, self.span = True, None

    def note(self, order: int) -> None:
        """Take note that an attempt begins inside the span, and so inside all spans around it."""
        # At once and not when the span ends: a span may end before one that was started inside it.
        place: Place | None = self
        while place is not None:
            place.orders.append(order)
            if len(place.orders) > _INSIDE:
                del place.orders[1]
            place = place.above

    def held(
        self, found: Reading, attributes: Mapping[str, Any] | None, enclosed: Sequence[Part] = ()
    ) -> Subject | None:
        """Return whom the span, or a log record on it, is held against; None where nobody.

        Args:
            found: What it says.
            attributes: Of the span.
            enclosed: What runs inside the span can be held against.
        """
        from otel_failover._core.attribution.enclosing import Began, Part, hold  # late: for the import budget

        sources, whole = self.run.attempts_so_far()
        orders = set(self.orders)
        inside = [source for source in sources if source.order in orders]
        beside = [source for source in sources if source.order not in orders]
        mine = Part(inside, beside, whole and len(inside) == len(orders), started_in=True)
        began = Began(self.ended, self.begun)
        return hold(found, [*enclosed, mine], attributes, self.run.operation, began)


enclosing: Final = Enclosing()
own_spans: Final[dict[int, Judge | Place]] = {}
"""Attempts by our own spans, the candidate's and its calls'; the run's, where nothing but the parent tells it."""
bound: Final[OrderedDict[int, Judge | Place]] = OrderedDict()
"""Attempts by the spans of others that were started inside them; of those started in a run alone, where they stand."""
around: Final[dict[int, list[Callable[[], None]]]] = {}
"""What is to be told when a span of somebody else's has ended, by its id: it has inferred runs inside."""
pools: Final[list[weakref.ref[Any]]] = []
"""The thread pools of providers whose processors run there, without the context in which a span is started."""


def watch(span_id: int, tell: Callable[[], None]) -> None:
    """Have it told when a span has ended.

    Args:
        span_id: Of the span.
        tell: Is called once; never raises.
    """
    around.setdefault(span_id, []).append(tell)


def unwatch(span_id: int, tell: Callable[[], None]) -> None:
    """Have it not told any more.

    Args:
        span_id: Of the span.
        tell: What would have been called.
    """
    told = around.get(span_id)
    if told is not None:
        told[:] = [each for each in told if each != tell]
        if not told:
            around.pop(span_id, None)


def own_run(span: Any, run: EnclosedRun) -> None:
    """Remember that one of our own spans is a run's, where only its being a parent tells what starts in the run."""
    if span.is_recording():
        own_spans[span.get_span_context().span_id] = Place(run)


def disown(span_id: int) -> None:
    """Forget one of our own spans."""
    own_spans.pop(span_id, None)


def note_attempt(span: Any, order: int) -> None:
    """Take note that an attempt begins inside a span of somebody else's.

    Args:
        span: Of the context that the attempt begins in; None where there is none.
        order: The attempt's.
    """
    place = bound.get(span.get_span_context().span_id) if span is not None else None
    if isinstance(place, Place):
        place.note(order)
