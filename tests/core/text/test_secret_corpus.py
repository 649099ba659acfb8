"""How many unknown secrets stay inside, measured with the rules of a maintained detector."""

from __future__ import annotations

import re

from otel_failover._core.text.redaction import redact
from tests.core.text.secret_corpus import LEFT_OUT, NOT_A_KEY, PER_RULE, in_python, measure, rules, secrets_of


def test_ninety_nine_of_a_hundred_unknown_secrets_stay_inside() -> None:
    tried, leaks = measure(redact)
    assert tried > 15_000
    assert 1 - len(leaks) / tried >= 0.99, leaks[:20]


def test_every_rule_takes_part() -> None:
    """Each of the detector's rules finds what was drawn for it; left out are two, which say why."""
    found = rules()
    assert len(found) + len(LEFT_OUT) == 222
    for rule in found:
        drawn = secrets_of(rule)
        assert len(drawn) == PER_RULE, rule["id"]
        assert all(re.search(in_python(rule["regex"]), secret.match) for secret in drawn)
    assert {rule["id"] for rule in found} >= NOT_A_KEY


def test_the_measure_sees_what_is_left() -> None:
    """Nothing masked is everything leaked: each planting can be found again."""
    tried, leaks = measure(lambda text: text, 1)
    assert len(leaks) == tried
