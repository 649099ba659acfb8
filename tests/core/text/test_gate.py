"""One function stands between anything foreign and any attribute, event, log or summary, and nothing goes round it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import otel_failover
from otel_failover._core import failsafe
from otel_failover._core.text import gate
from otel_failover._core.text.redaction import MASK, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(otel_failover.__file__).parent
KEY = "Zq3vT9xLmPw7RkYb2NcHs8DfGj4UeAo6"


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    before = dict(gate.known)
    gate.forget()
    yield
    gate.forget()
    gate.learn(tuple(before))


# --- what passes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "passes",
    [
        lambda text: gate.clean(text),
        lambda text: gate.shown(text),
        lambda text: gate.named(text),
        lambda text: gate.word(text, ()),
        lambda text: gate.issued(text, ()),
    ],
)
@pytest.mark.parametrize("before", ["", "req_", "said by ", "https://"])
def test_knows_what_was_sent_wherever_it_comes_back(passes: Any, before: str) -> None:
    passes(before + KEY)  # what was clean before is looked at anew
    gate.learn((KEY,))
    assert KEY[:8] not in passes(before + KEY)


@pytest.mark.parametrize("key", ["ollama", "lm-studio", "sk-no-key-required", "my-local-model-key", "gpt-4o-mini-key"])
def test_remembers_no_row_of_words(key: str) -> None:
    gate.learn((key,))
    assert not gate.known
    assert gate.clean(f"the model {key} is loading") == f"the model {key} is loading"


def test_remembers_so_many_and_no_more() -> None:
    gate.learn(tuple(f"{KEY}{number}" for number in range(100)))
    assert len(gate.known) == 32
    assert f"{KEY}99" in gate.known


@pytest.mark.parametrize(
    "kept",
    [
        "insufficient_quota", "rate_limit_exceeded", "ThrottlingException", "429", "RESOURCE_EXHAUSTED",
        "billing/hard-limit",
    ],
)  # fmt: skip
def test_leaves_codes(kept: str) -> None:
    gate.learn((KEY,))
    assert gate.word(kept, (KEY,)) == kept


@pytest.mark.parametrize(
    "kept",
    [
        "req_011CSHoEeqs5C35K2UUqR7Fy", "chatcmpl-CQ1x8yZ0aB3dE6gH9jK2mN5pQ8sT1", "msg_01XFDUDYJgAACzvnptvVoYEL",
        "550e8400-e29b-41d4-a716-446655440000", "qJfUZ-2bHtiVmtkPjvHD6Qg", "9f86d081884c7d659a2feaa0c55ad015",
        "o8ujVKZ-zqrih-9bb4e2c0a8f0d1b5",
    ],
)  # fmt: skip
def test_leaves_ids(kept: str) -> None:
    gate.learn((KEY,))
    assert gate.issued(kept, (KEY,)) == kept


@pytest.mark.parametrize(
    "kept",
    [
        "gpt-4o-2024-08-06", "claude-opus-4-7", "accounts/fireworks/models/llama-v3p1-405b-instruct",
        "anthropic.claude-3-5-sonnet-20241022-v2:0", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "ft:gpt-4o:acme::9xYzAbC",
        "openai.RateLimitError", "Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4",
    ],
)  # fmt: skip
def test_leaves_labels(kept: str) -> None:
    assert gate.shown(kept) == kept


@pytest.mark.parametrize(
    "kept",
    [
        "https://my-resource-7f3a9c2b1d.openai.azure.com", "http://10.0.0.7:8000", "xk2j9q8w7e6r5t4y-8000.proxy.runpod.net",
        "https://abc123def456ghij.us-east-1.aws.endpoints.huggingface.cloud",
    ],
)  # fmt: skip
def test_leaves_hosts(kept: str) -> None:
    assert gate.named(kept) == kept


def test_applies_the_users_patterns_to_labels_too() -> None:
    gate.use((re.compile(r"acme-\d+"),))
    try:
        assert gate.shown("acme-123/gpt-4o") == f"{MASK}/gpt-4o"
        assert gate.issued("acme-123", ()) == MASK
    finally:
        gate.use(())


def test_a_failure_of_our_own_says_nothing_secret(
    our_failures: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_FAILOVER_STRICT", raising=False)
    gate.learn((KEY,))

    def fails() -> None:
        try:
            raise KeyError(f"Bearer {KEY}")
        except KeyError as problem:
            raise ValueError(f"api_key={KEY}") from problem

    failsafe.guarded(fallback=None)(fails)()
    assert our_failures
    assert "in fails" in caplog.text
    assert "ValueError" in caplog.text
    assert KEY[:8] not in caplog.text


# --- nothing goes round it --------------------------------------------------------------------------------------------

GATES = frozenset({"clean", "shown", "named", "word", "issued", "redacted", "safe", "quoted", "shortened", "one_line"})
"""What makes a clean text, or a few of them: the gate itself, and what passes all that it is given through it."""

OURS = frozenset(
    [
        "RUN_ID",
        "LIBRARY",
        "OUTCOME",
        "CANDIDATE_INDEX",
        "CANDIDATE_ATTEMPT",
        "CANDIDATE_OUTCOME",
        "REASON_CODE",
        "ERROR_ORIGIN",
        "TIMEOUT_KIND",
        "TIMEOUT_CONFIGURED",
        "KILLED_BY",
        "RETRY_AFTER",
        "EVIDENCE",
        "EVIDENCE_GAP",
        "WIRE_REQUESTS",
        "WIRE_STATUSES",
        "HTTP_STATUS",
        "STATUS_SYNTHETIC",
        "ERROR_REPLAYED",
        "ERROR_FINGERPRINT",
        "ATTEMPT_COUNT",
        "WASTED_DURATION",
        "FINDINGS",
        "VERDICT",
        "RULE",
        "MISMATCH",
        "BOUND_BY",
        "SOURCE_INDEX",
        "SOURCE_SPAN_ID",
        "SKIP_CAUSE_SPAN_ID",
        "SILENT_DURATION",
        "FINDING_RULE",
        "FINDING_LEVEL",
        "FINDING_CANDIDATES",
        "CLAIMED_STATUS_CODE",
        "GEN_AI_OPERATION",
        "SERVER_PORT",
    ]
)
"""Names whose values are numbers, ids of ours or OpenTelemetry's, or words of our own vocabulary."""

ELSEWHERE = {
    # name: what stands for it where it is written, and where that passed the gate
    "CHAIN": {"self.positions.chain.labels"},  # `Candidate.label`
    "UNTRIED": {"list(untried[:UNTRIED])"},  # the same
    "LOOP_NAME": {"self.loop"},  # `Run._enter`, `InferredRun.begin`
    "SKIP_REASON": {"reason"},  # `Run.skip`
    "ERROR_TYPE": {"outcome", "settled.reason if self.in_run and settled.outcome in FAILED else None"},  # our words
    "CANDIDATE_PROVIDER": {"provider"},  # `mismatch.announce`, its first line
    "CANDIDATE_MODEL": {"model"},  # the same; `call_span.start` has the same name
    "GEN_AI_REQUEST_MODEL": {"model"},
    "SERVER_ADDRESS": {"host"},  # of a `named` endpoint
    "EXPECTED_PROVIDER": {"expected"},  # of the closed table, by `metric_value`
    "SOURCE_PROVIDER": {"source"},  # the same
    "METRIC_SITE": {"site"},  # a function of ours
    "FINDING_SENTENCE": {"clean(runtime, finding.sentence)"},
}


def _sources() -> Iterator[tuple[Path, ast.Module]]:
    for room in ("_core", "integrations"):
        for path in sorted((ROOT / room).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def _written(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names of our attributes, each with what is written under it: dicts, items set, pairs."""
    for node in ast.walk(tree):
        pairs: list[tuple[ast.expr | None, ast.expr]] = []
        if isinstance(node, ast.Dict):
            pairs = list(zip(node.keys, node.values, strict=True))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            pairs = [(node.targets[0].slice, node.value)]
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
            pairs = [(node.elts[0], node.elts[1])]
        for key, value in pairs:
            if isinstance(key, ast.Attribute) and isinstance(key.value, ast.Name) and key.value.id == "names":
                yield key.attr, value


def _passes(value: ast.expr) -> bool:
    """Whether an expression is of clean parts: calls of the gate, our own texts, numbers."""
    if isinstance(value, ast.Constant):
        return True
    if isinstance(value, ast.IfExp):
        return _passes(value.body) and _passes(value.orelse)
    if isinstance(value, ast.BoolOp):
        return all(map(_passes, value.values))
    if isinstance(value, ast.GeneratorExp):
        return _passes(value.elt)
    if isinstance(value, ast.Call):
        called = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return called in GATES or (called == "join" and all(map(_passes, value.args)))
    return False


def test_whatever_stands_under_a_foreign_name_has_passed_the_gate() -> None:
    """Each place in the core and in the adapters that writes an attribute, but for those that only read one."""
    seen, wrong = set(), []
    for path, tree in _sources():
        for name, value in _written(tree):
            seen.add(name)
            said = re.sub(r"\b_+", "", ast.unparse(value))
            if name in OURS or _passes(value) or said in ELSEWHERE.get(name, ()) or _reads(value):
                continue
            wrong.append(f"{path.relative_to(ROOT)}:{value.lineno}: {name} = {said}")
    assert not wrong, "\n".join(wrong)
    assert seen >= {"ERROR_CODE", "WIRE_REQUEST_ID", "GEN_AI_RESPONSE_ID", "GEN_AI_RESPONSE_MODEL", "CLAIMED_MESSAGE"}


def _reads(value: ast.expr) -> bool:
    """Whether a pair is no writing: two names beside each other in a table of what is read."""
    return isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "names"


def test_only_the_gate_and_the_rules_redact() -> None:
    """Everybody else asks the gate, which knows the user's patterns and what was sent."""
    users = set()
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == redact.__module__:
                users |= {str(path.relative_to(ROOT)) for each in node.names if each.name == "redact"}
    assert users == {str(Path(gate.__file__).relative_to(ROOT))}


def test_no_exception_is_logged_as_it_is() -> None:
    """`exc_info` and `logger.exception` print what an exception and all before it say; ours is `ToldError`'s."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr == "exception" and getattr(node.func.value, "id", "") == "logger":
                    found.append(str(path.relative_to(ROOT)))
                if any(each.arg == "exc_info" for each in node.keywords):
                    found.append(f"{path.relative_to(ROOT)} exc_info")
    assert found == [f"{Path(failsafe.__file__).relative_to(ROOT)} exc_info"]
