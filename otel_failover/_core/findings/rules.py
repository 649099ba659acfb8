"""What a run got wrong: the table of rules, and the function that applies it.

A rule is a function of a record and the thresholds that yields findings. It is silent wherever an honest loop could
look the same: a finding that may be false would be switched off, and all the others with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.verdicts import FINDINGS_OFF
from otel_failover._core.findings import answers, chain, errors, retries, timing
from otel_failover._core.findings.record import Finding, Record, Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    Rule = Callable[[Record, Thresholds], Iterator[Finding]]

TABLE: Final[dict[str, Rule]] = {
    "chain_bypassed": chain.chain_bypassed,
    "chain_stopped": chain.chain_stopped,
    "retry_storm": retries.retry_storm,
    "refusal_repeated": retries.refusal_repeated,
    "hung_candidate": timing.hung_candidate,
    "timeout_not_failed_over": retries.timeout_not_failed_over,
    "outage_not_failed_over": retries.outage_not_failed_over,
    "futile_failover": errors.futile_failover,
    "unjustified_skip": errors.unjustified_skip,
    "identical_errors": errors.identical_errors,
    "lossy_report": errors.lossy_report,
    "local_failure": errors.local_failure,
    "text_error": answers.text_error,
    "empty_success": answers.empty_success,
    "partial_delivered": answers.partial_delivered,
    "wrong_model": answers.wrong_model,
    "misbooked_success": answers.misbooked_success,
    "nothing_served": chain.nothing_served,
    "model_name_prefixed": answers.model_name_prefixed,
    "off_chain": chain.off_chain,
    "starved_candidate": timing.starved_candidate,
    "sticky_fallback": chain.sticky_fallback,
    "cancelled_continued": chain.cancelled_continued,
}
"""Every rule by the name that goes on the wire, in the order of `FINDINGS`, in which findings are reported."""


def find(
    record: Record,
    thresholds: Thresholds = Thresholds(),  # noqa: B008 - frozen
    disabled: Collection[str] = (),
    enabled: Collection[str] = (),
) -> tuple[Finding, ...]:
    """Return what a run got wrong.

    Args:
        record: The run, over.
        thresholds: What counts as too much.
        disabled: Rules that are switched off, by name; wins over `enabled`.
        enabled: Rules of `FINDINGS_OFF` that are switched on.

    Returns:
        Findings in the order of `FINDINGS`, each rule at most once per candidate that it is about.
    """
    if is_plain(record, thresholds):
        return ()
    return tuple(
        finding
        for name, rule in TABLE.items()
        if name not in disabled and (name not in FINDINGS_OFF or name in enabled)
        for finding in rule(record, thresholds)
    )


def is_plain(record: Record, thresholds: Thresholds) -> bool:
    """Whether no rule can fire: nearly every run is served at once by one request, and is not to pay for the rules."""
    if record.outcome != "primary" or len(record.tried) != 1 or record.skipped or record.report:
        return False
    only = record.tried[0]
    if record.booked and only.index not in record.booked:
        return False
    odd = only.probe or only.cancelled_before or only.empty or only.text_error or only.outcome != "success"
    most = 1 if thresholds.max_requests is None else min(1, thresholds.max_requests)
    placed = only.index >= 0 or not record.chain
    return placed and not odd and only.requests <= most and answers.other_model(record, only) is None
