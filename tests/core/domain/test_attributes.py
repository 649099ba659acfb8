"""Names on the wire: once, in one module, under two prefixes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

import otel_failover
from otel_failover._core.domain import attributes as names

PACKAGE: Final = Path(otel_failover.__file__).parent
COPIED: Final = {
    "error.type", "http.response.status_code", "exception", "exception.type", "exception.message", "server.address",
    "server.port", "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system", "gen_ai.request.model",
    "gen_ai.response.model", "gen_ai.response.id",
}  # fmt: skip
"""OpenTelemetry's own."""

VALUES: Final = {name: value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
ON_SPANS: Final = {
    value
    for name, value in VALUES.items()
    if not name.startswith(("METRIC_", "SPAN_", "SCOPE"))
    and name not in ("CLAIMED", "EVENT_FINDING")
    and value not in COPIED
}
METRICS: Final = {value for name, value in VALUES.items() if name.startswith("METRIC_") and name != "METRIC_SITE"}
PREFIXES: Final = ("failover.", "candidate.")
OTHERS: Final = sorted(path for path in PACKAGE.rglob("*.py") if path != Path(str(names.__file__)))


def test_no_name_stands_twice() -> None:
    spans = {"SPAN_MISMATCH": "MISMATCH"}
    seen: dict[str, str] = {}
    for name, value in VALUES.items():
        assert spans.get(name) == seen.get(value) or value not in seen, (name, seen.get(value), value)
        seen.setdefault(value, name) if name not in spans else None


@pytest.mark.parametrize("key", sorted(ON_SPANS))
def test_keys_are_ours_and_none_is_also_a_prefix(key: str) -> None:
    assert key.startswith(PREFIXES)
    assert not any(other.startswith(key + ".") for other in ON_SPANS)
    assert key == key.lower()
    assert len(key) < 64


@pytest.mark.parametrize("value", sorted(VALUES.values()))
def test_nothing_is_called_error_and_nothing_new_is_under_foreign_prefixes(value: str) -> None:
    assert value != "error"
    assert not value.startswith("otel.")
    if value.startswith(("gen_ai.", "error.", "http.", "server.", "exception")):
        assert value in COPIED


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_metrics_are_ours(metric: str) -> None:
    assert metric.startswith("failover.")


def literals(path: Path) -> set[str]:
    """Every string of a module that is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    }


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_other_modules_take_their_names_from_here(path: Path) -> None:
    """A name spelled out elsewhere must at least be one that stands here."""
    known = set(VALUES.values())
    for text in literals(path):
        for word in text.split():
            if word.startswith(PREFIXES) and word.rstrip(".,:;") != word.partition(".")[0]:
                name = word.rstrip(".,:;)'\"")
                assert name in known or any(each.startswith(name) for each in known), (path.name, word)


_PROMISED: Final = """
candidate.provider candidate.model candidate.index candidate.endpoint candidate.profile candidate.attempt
candidate.outcome failover.run.id failover.reason.code failover.reason.host failover.error.origin failover.error.code
failover.error.fingerprint failover.error.replayed failover.timeout.kind failover.timeout.configured failover.killed_by
failover.retry_after failover.evidence failover.evidence_gap failover.wire.requests failover.wire.statuses
failover.wire.request_id failover.status.synthetic failover.skip.reason failover.skip.cause_span_id failover.library
failover.loop.name failover.chain failover.outcome failover.stop.reason failover.attempt.count failover.untried
failover.wasted.duration failover.attribution.verdict failover.attribution.rule
failover.attribution.mismatch failover.attribution.expected.provider failover.attribution.source.provider
failover.attribution.source.index failover.attribution.source.span_id failover.attribution.bound_by
failover.attribution.claimed.reason failover.attribution.claimed.type failover.attribution.claimed.status_code
failover.attribution.claimed.code failover.attribution.claimed.request_id failover.attribution.claimed.message
"""


@pytest.mark.parametrize("key", _PROMISED.split())
def test_every_name_that_is_promised_is_there(key: str) -> None:
    assert key in VALUES.values()
