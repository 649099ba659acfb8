"""Counts what was looked at beside each family of neighbours, so that a check that sees nothing cannot pass."""

from __future__ import annotations

import contextvars
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from otel_failover import FailoverInstrumentor
from tests.beside.neighbours import TRANSPORTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.beside.neighbours import Neighbours
    from tests.support.spans import Exported

MARKER: Final = "failover.attribution.mismatch"
FLAGGED: Final = ("mismatch", "inconsistent")
_SENDS_BY: Final = {"bedrock": {"botocore"}, "google_genai": {"httpx", "aiohttp"}}
"""What must be instrumented for all requests of a library to be seen; the others send by httpx, of either name."""
_PENDING: Final = "logfire.pending_parent_id"


@dataclass
class Count:
    """What was looked at beside one family.

    Attributes:
        runs: Runs, and calls outside any run.
        others: Spans of others.
        seen: Those of them that were bound to an attempt.
        judged: Those of them that got a verdict.
        doubted: Those of these that are `unverified`.
        lies: Lies told on purpose that were flagged, and known ones.
        alarms: Honest spans that were flagged, described.
    """

    runs: int = 0
    others: int = 0
    seen: int = 0
    judged: int = 0
    doubted: int = 0
    lies: int = 0
    alarms: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.runs:,} runs, {self.others:,} spans of others, {self.seen:,} inside attempts, "
            f"{self.judged:,} judged, {self.doubted:,} of them unverified, {len(self.alarms)} false alarms; {self.lies:,} lies flagged"
        )


COUNTS: Final[dict[str, Count]] = {}
"""By family, over the whole session."""


class Beside:
    """One family of neighbours that is on, and what everybody exports.

    Args:
        on: The family.
        is_expected: Tells whether the test is expected to fail: what it looks at does not count.

    Attributes:
        infers: What is done next is a loop that nobody declares, of which a run may be inferred.
    """

    def __init__(self, on: Neighbours, is_expected: Callable[[], bool] = lambda: False) -> None:
        self.on, self.family, self.provider, self.exporter, self.members = (
            on, on.family, on.provider, on.exporter, on.members,
        )  # fmt: skip
        self._is_expected, self._aside = is_expected, Count()
        self.infers = False

    @property
    def count(self) -> Count:
        """Where what was looked at is added."""
        return self._aside if self._is_expected() else COUNTS.setdefault(self.family, Count())

    def needs(self, *libraries: str) -> None:
        """Skip the test unless the family instruments one of these libraries, or what one of them sends by.

        Args:
            libraries: As in `Neighbours.members`.
        """
        known = self.members.union(each for each in libraries if self.family == TRANSPORTS and self._carries(each))
        if not known.intersection(libraries):
            pytest.skip(f"{self.family} instruments none of {', '.join(libraries)} here")

    def _carries(self, library: str) -> bool:
        return _SENDS_BY.get(library, set()) <= self.members

    @property
    def tracer(self) -> Any:
        """A tracer of the application."""
        return self.provider.get_tracer("application")

    @property
    def spans(self) -> list[Exported]:
        """Everything exported since the last `honest` or `dishonest` began, in the order of its start."""
        found = [span for span in self.exporter.spans if _PENDING not in span.attributes]
        return sorted(found, key=lambda span: (span.start, span.name))

    @property
    def others(self) -> list[Exported]:
        """Spans that are not ours."""
        return [span for span in self.spans if span.scope != "otel_failover"]

    @property
    def seen(self) -> list[Exported]:
        """Spans of others that were bound to an attempt."""
        return [span for span in self.others if "candidate.provider" in span.attributes]

    @property
    def judged(self) -> list[Exported]:
        """Spans of others that got a verdict."""
        return [span for span in self.others if span.verdict[0] is not None]

    @property
    def doubted(self) -> list[Exported]:
        """Spans of others that are unverified."""
        return [span for span in self.judged if span.verdict[0] == "unverified"]

    @property
    def flagged(self) -> list[Exported]:
        """Spans that contradict or mismatch, anybody's, and spans with a marker below them."""
        marked = {span.parent_id for span in self.spans if span.name == MARKER}
        return [span for span in self.spans if span.verdict[0] in FLAGGED or span.span_id in marked]

    @property
    def runs(self) -> list[Exported]:
        """Run spans."""
        return [span for span in self.spans if span.scope == "otel_failover" and span.name.startswith("failover ")]

    def with_us(self, work: Callable[[], Any]) -> Any:
        """Do something with us on, after the neighbours; return what it returns.

        In a context of its own: some neighbours leave theirs attached.
        """
        self.exporter.spans.clear()
        FailoverInstrumentor().instrument(tracer_provider=self.provider)
        try:
            return contextvars.copy_context().run(work)
        finally:
            FailoverInstrumentor().uninstrument()

    def honest(
        self, work: Callable[[], Any], *, lying: tuple[str, ...] = (), same: bool = True, some: bool = True
    ) -> Any:
        """Do something without us and with us: the same comes of it, and nothing is flagged.

        Args:
            work: Does it; returns, besides, what the host sees of it.
            lying: Names of spans of others that are known to lie here: they, and no others, must be flagged.
            same: Whether both times the host sees the same.
            some: Whether there must be spans of others.
        """
        without = contextvars.copy_context().run(work) if same else None
        found = self.with_us(work)
        assert self.others or not some, f"nothing of {self.family} was on"
        self._tell(lying)
        if same:
            assert found == without
        return found

    def dishonest(self, work: Callable[[], Any]) -> list[Exported]:
        """Do something that lies, with us on; return what was flagged."""
        self.with_us(work)
        self._add()
        flagged = self.flagged
        self.count.lies += len(flagged)
        assert flagged, "a lie was not flagged"
        return flagged

    def _add(self) -> None:
        calls = sum(
            span.parent_id is None and span.scope == "otel_failover" for span in self.spans if span.name != MARKER
        )
        self.count.runs += len(self.runs) or calls or 1
        self.count.others += len(self.others)
        self.count.seen += len(self.seen)
        self.count.judged += len(self.judged)
        self.count.doubted += len(self.doubted)

    def _tell(self, lying: tuple[str, ...]) -> None:
        self._add()
        self.on.looked += not self._is_expected()
        self.on.seen += len(self.seen) + len(self.judged)
        known = [span for span in self.flagged if span.name in lying]
        alarms = [described(span) for span in self.flagged if span.name not in lying]
        alarms += [described(run) for run in self.runs if run["failover.library"] == "inferred" and not self.infers]
        self.infers = False
        self.count.lies += len(known)
        self.count.alarms += alarms
        assert not alarms, "\n".join(alarms)
        missed = set(lying) - {span.name for span in known}
        assert not missed, f"known lies were not flagged: {sorted(missed)}"


def described(span: Exported) -> str:
    """Return a flagged span in words: what it claims, and what was said of it."""
    told = {
        key: value for key, value in span.attributes.items() if not key.startswith(("gen_ai.input", "gen_ai.output"))
    }
    return f"{span.scope}: {span.name!r} {span.verdict} {span.status} {span.description!r} {told} {span.events}"
