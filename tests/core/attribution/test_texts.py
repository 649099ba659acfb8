"""The ways a text is cut, escaped, wrapped or rendered: another's binds in each, the own text and a mere likeness in none."""

from __future__ import annotations

import html
import json
import re
import textwrap
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_failover._core.attribution.claim import Claim
from otel_failover._core.attribution.facts import UNBOUND, OwnFacts, SourceFacts, Verdict
from otel_failover._core.attribution.from_exception import from_error
from otel_failover._core.attribution.history import History
from otel_failover._core.attribution.rules import judge
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.text.matching import fingerprint, normalise, quoted, start_keys
from otel_failover._core.text.normal_form import units
from tests.core.text import spaceless_texts

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES: Final = {
    "quota": (
        "You exceeded your current quota, please check your plan and billing details. For more information on this"
        " error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
    ),
    "ids": (
        "Rate limit reached for gpt-5.5-turbo-2026-11-20 in organization org-8f3a9c on tokens per min (TPM): Limit"
        " 30000, Used 29937, Requested 412. Please try again in 698ms."
    ),
    "quotes": "The model `claude-x` isn't served in this <region>; ask \"sales\" & wait | see 'plans' {all} [here]",
    "lines": "Requests of this project are held back.\nThe window of tokens has been used up:\r\n\twait until midnight",
    "accents": "Das Kontingent für diesen Schlüssel ist aufgebraucht – erhöhen Sie Ihr Limit über die Abrechnungsseite",
    "Chinese": "您的账户余额不足，当月额度 30000 次已用完，请前往控制台充值后再调用模型 qwen-plus 接口；或联系商务升级套餐",
    "Japanese": "今月の無料枠のクォータ（30000 トークン）を使い切りました。管理画面でプランをアップグレードしてください。",
    "Korean": "이번 달 사용 한도 30000회를 초과했습니다. 콘솔에서 요금제를 업그레이드하거나 다음 달까지 기다려 주세요.",
}

WHOLE: Final[dict[str, Callable[[str], str]]] = {
    "as it is": str,
    "in a sentence": lambda m: f"anthropic failed: {m} - giving up",
    "an SDK's rendering": lambda m: f"Error code: 429 - { ({'error': {'message': m, 'type': 'x', 'param': None}})!r}",
    "Google's rendering": lambda m: f"429 RESOURCE_EXHAUSTED. { ({'error': {'code': 429, 'message': m}})!r}",
    "JSON": lambda m: json.dumps({"error": {"message": m}}),
    "JSON in letters of its own": lambda m: json.dumps({"error": {"message": m}}, ensure_ascii=False),
    "JSON in JSON": lambda m: json.dumps({"body": json.dumps({"message": m})}),
    "repr": repr,
    "repr of a repr": lambda m: repr(repr(m)),
    "repr of an exception in a repr": lambda m: repr([RuntimeError(RuntimeError(m))]),
    "ascii": ascii,
    "bytes": lambda m: str(json.dumps({"message": m}, ensure_ascii=False).encode()),
    "HTML": html.escape,
    "HTML twice": lambda m: html.escape(html.escape(m)),
    "HTML in ASCII": lambda m: html.escape(m).encode("ascii", "xmlcharrefreplace").decode(),
    "HTML of JSON": lambda m: html.escape(json.dumps({"message": m})),
    "HTML with its line breaks": lambda m: "<p>" + html.escape(m).replace("\n", "<br/>\n") + "</p>",
    "a page": lambda m: f"<html><body><h1 class='x'>429</h1><b>{html.escape(m)}</b></body></html>",
    "URL": quote,
    "URL, all of it": lambda m: quote(m, safe=""),
    "URL twice": lambda m: quote(quote(m)),
    "a form's field": lambda m: f"/failed?why={quote_plus(m)}&by=b",
    "URL of JSON": lambda m: quote(json.dumps({"message": m})),
    "wrapped at 20": lambda m: textwrap.fill(m, 20),
    "wrapped at 33": lambda m: textwrap.fill(m, 33),
    "wrapped anywhere": lambda m: "\n".join(m[i : i + 17] for i in range(0, len(m), 17)),
    "wrapped and indented": lambda m: textwrap.indent(textwrap.fill(m, 40), "    | "),
    "wrapped as a quotation": lambda m: textwrap.indent(textwrap.fill(m, 40), "> "),
    "wrapped, in a repr": lambda m: repr(textwrap.fill(m, 30)),
    "wrapped, in JSON": lambda m: json.dumps(textwrap.fill(m, 30)),
    "wrapped at hyphens": lambda m: m.replace("-", "-\n"),
    "folded": lambda m: " ".join(m.split()),
    "wide": lambda m: m.replace(" ", "\u00a0\u00a0"),
    "capitals": str.upper,
    "bold": lambda m: f"**{m}**",
    "coloured": lambda m: f"\x1b[31m{m}\x1b[0m",
    "with other ids": lambda m: m.replace("30000", "40000").replace("org-8f3a9c", "org-77aa1b").replace("412", "1"),
    "masked": lambda m: m.replace("org-8f3a9c", "[REDACTED]"),
    "typographic quotes": lambda m: m.replace("'", "\u2019").replace('"', "\u201d"),
}
"""Ways to print a whole message."""

WRAPPED_ANYWHERE: Final = ("wrapped anywhere", "wrapped at hyphens")
"""What no answer does to an id in its own text."""

CUT: Final[dict[str, Callable[[str], str]]] = {
    "at the end": str,
    "...": lambda m: f"{m}...",
    "…": lambda m: f"{m}… (B)",
    "[truncated]": lambda m: f"{m} [truncated] by the logger",
    "(truncated)": lambda m: f"{m}(truncated) while B was asked",
    "... (truncated, 4096 bytes)": lambda m: f"{m}... (truncated, 4096 bytes) for B",
    "(+120 more)": lambda m: f"{m} (+120 more) and then B",
    "[120 characters omitted]": lambda m: f"{m} [120 characters omitted] at B",
    "[cut]": lambda m: f"{m}[cut] then B failed",
    "<snip>": lambda m: f"{m} <snip> and so on",
    "; see logs": lambda m: f"{m}; see logs of B",
    "|": lambda m: f"{m} | B gave up",
    "line break": lambda m: f"{m}\nB gave up",
    "escaped line break": lambda m: f"{m}\\nB gave up",
    "quote": lambda m: f"B said '{m}' at last",
    "quotation marks": lambda m: f"B said “{m}” at last",
    "corner brackets": lambda m: f"B：「{m}」",
    "bracket": lambda m: f"B failed ({m}) again",
    "wide brackets": lambda m: f"B 失败（{m}）",
    "markup": lambda m: f"<li>{html.escape(m)}</li>again",
    "HTML": lambda m: f"{html.escape(m)}&hellip; for B",
    "URL": lambda m: quote(m) + "...",
    "URL, inside an escape": lambda m: quote(m + "é")[:-2] + "...",
    "JSON, inside an escape": lambda m: json.dumps(m + "é")[:-3],
    "HTML, inside an escape": lambda m: html.escape(m + "'")[:-2] + "…",
    "an SDK's rendering": lambda m: f"Error code: 429 - {{'error': {{'message': '{m}",
    "repr": lambda m: repr(m)[:-1],
    "wrapped": lambda m: textwrap.fill(m, 24) + "…",
}
"""Ways to print the start of a message."""

OWN_TIMEOUT: Final = OwnFacts(sent=1, reasons=frozenset({"timeout"}), texts=("request timed out.",))


def source(message: str) -> SourceFacts:
    return SourceFacts("openai", 0, order=1, messages=(message,), statuses=frozenset({429}))


def holding(message: str) -> OwnFacts:
    """Return the evidence of an attempt whose own answer said a message."""
    return OwnFacts(sent=1, answered=1, statuses=frozenset({429}), texts=(normalise(message),),
                    reasons=frozenset({"rate_limit"}))  # fmt: skip


OWN_ANSWER: Final = holding("Our scheduler could not place this request on any replica")


def held(text: str, message: str, own: OwnFacts = OWN_TIMEOUT) -> Verdict:
    """Hold a text against an attempt, where another said a message."""
    return judge(Claim(texts=(text,)), UNBOUND, own, (source(message),))


def other_words(message: str) -> str:
    """Return a message's likeness: the same start, too short to tell, and then the loop's own words."""
    start = next(message[:at] for at in range(len(message)) if units(normalise(message[:at])) >= 15)
    return f"{start} zzz qqq vvv www jjj zzz qqq vvv www jjj zzz qqq vvv www jjj zzz qqq vvv"


def cuts(message: str) -> list[int]:
    """Return where a message may be cut to be told: from 30 units on."""
    return [at for at in range(len(message)) if units(normalise(message[:at])) >= 30]


def is_before_a_mark(rest: str) -> bool:
    """Whether a message goes on with a quote, a bracket or a line break of its own: the same one is no sign of a cut."""
    return re.match(r"[\s.,]*[\"'`<>(){}\[\]|;\n]", rest) is not None


@pytest.mark.parametrize("way", WHOLE)
@pytest.mark.parametrize("name", MESSAGES)
def test_another_s_text_binds_however_it_is_printed(name: str, way: str) -> None:
    message = MESSAGES[name]
    found = held(WHOLE[way](message), message)
    assert (found.verdict, found.rule, found.bound_by) == ("mismatch", "stale_error", "text")


@pytest.mark.parametrize("way", WHOLE)
@pytest.mark.parametrize("name", MESSAGES)
def test_an_own_text_is_own_however_it_is_printed(name: str, way: str) -> None:
    message = MESSAGES[name]
    assert held(WHOLE[way](message), message, holding(message)).verdict == "verified"
    if not (name == "ids" and way in WRAPPED_ANYWHERE):
        assert held(message, message, holding(WHOLE[way](message))).verdict in ("verified", "unverified")


@pytest.mark.parametrize("way", WHOLE)
@pytest.mark.parametrize("name", MESSAGES)
def test_a_likeness_binds_nothing_however_it_is_printed(name: str, way: str) -> None:
    message = MESSAGES[name]
    assert held(WHOLE[way](other_words(message)), message, OWN_ANSWER).rule == "nothing_bound"


@pytest.mark.parametrize("way", CUT)
@pytest.mark.parametrize("name", MESSAGES)
def test_another_s_text_binds_wherever_it_is_cut(name: str, way: str) -> None:
    message = MESSAGES[name]
    missed = [at for at in cuts(message) if held(CUT[way](message[:at]), message).rule != "stale_error"]
    assert [message[:at] for at in missed if not is_before_a_mark(message[at:])] == []
    assert len(missed) <= 2


@pytest.mark.parametrize("way", CUT)
@pytest.mark.parametrize("name", MESSAGES)
def test_an_own_text_is_own_wherever_it_is_cut(name: str, way: str) -> None:
    message = MESSAGES[name]
    flagged = [at for at in cuts(message) if held(CUT[way](message[:at]), message, holding(message)).rule in
               ("stale_error", "mixed_error")]  # fmt: skip
    assert flagged == []


@pytest.mark.parametrize("way", CUT)
@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_cut_too_short_binds_nothing(name: str, way: str) -> None:
    message = MESSAGES[name]
    short = [message[:at] for at in range(len(message)) if units(normalise(message[:at])) < 20]
    assert [each for each in short if held(CUT[way](each), message, OWN_ANSWER).verdict == "mismatch"] == []


# --- what is long, or of an earlier run -------------------------------------------------------------------------------


LONG: Final = " ".join(f"Replica {chr(97 + n % 26)}{chr(97 + n // 26)} holds shard x{n}y of it;" for n in range(400))


@pytest.mark.parametrize("at", range(4_080, 4_112))
def test_a_message_that_is_kept_in_part_binds(at: int) -> None:
    """Of a message 4,096 characters are kept, which may end inside a word with a digit."""
    text = f"B failed: {LONG}"
    assert held(text, LONG[:at]).rule == "stale_error"
    assert held(text, LONG[:at], holding(LONG)).verdict == "verified"


def earlier(message: str, provider: str = "openai") -> tuple[History, Candidate, Candidate]:
    """Return a history in which a provider said a message, that provider's candidate, and another."""
    past, mine, other = History(), Candidate(provider, "m"), Candidate("anthropic", "n")
    text = normalise(message)
    past.add(fingerprint(text), start_keys(text), (mine, None, None), source(message)._replace(messages=()))
    return past, mine, other


@pytest.mark.parametrize("way", CUT)
@pytest.mark.parametrize("name", MESSAGES)
def test_an_earlier_run_s_text_binds_wherever_it_is_cut(name: str, way: str) -> None:
    message = MESSAGES[name]
    past, mine, other = earlier(message)
    cut = next(message[:at] for at in range(len(message)) if units(normalise(message[:at])) >= 50)
    claim = Claim(texts=(f"B failed: {CUT[way](cut)}",))
    assert (
        judge(claim, UNBOUND, OWN_TIMEOUT, (), lambda known: past.find(known, (other, None, None))).rule
        == "stale_error"
    )
    found = judge(claim, UNBOUND, OWN_TIMEOUT, (), lambda known: past.find(known, (mine, None, None)))
    assert (found.rule, found.replayed) == ("nothing_bound", True)
    own = holding(message)
    assert judge(claim, UNBOUND, own, (), lambda known: past.find(known, (other, None, None))).verdict != "mismatch"


@pytest.mark.parametrize("name", MESSAGES)
def test_a_likeness_of_an_earlier_run_s_text_binds_nothing(name: str) -> None:
    past, _, other = earlier(MESSAGES[name])
    claim = Claim(texts=(f"B failed: {other_words(MESSAGES[name])}",))
    assert (
        judge(claim, UNBOUND, OWN_TIMEOUT, (), lambda known: past.find(known, (other, None, None))).rule
        == "nothing_bound"
    )


def test_what_is_remembered_of_starts_has_a_limit() -> None:
    past, mine = History(), (Candidate("openai", "m"), None, None)
    for number in range(3_000):
        past.add(f"{number}", (f"~{number}", f"~~{number}"), mine, source(""))
    assert past.find("~0", mine) is None
    assert past.find("~2999", mine) is not None
    past.clear()
    assert past.find("~2999", mine) is None


# --- scripts in which few characters say much -------------------------------------------------------------------------


SAID_BY_NOBODY_ELSE: Final = frozenset({"timeout"})


@pytest.mark.parametrize("text", [*spaceless_texts.ANYBODYS, *spaceless_texts.SECOND_ANYBODYS,
                                  *spaceless_texts.THIRD_ANYBODYS])  # fmt: skip
def test_what_anybody_says_binds_in_no_language(text: str) -> None:
    assert quoted(text, f"B: {text}", SAID_BY_NOBODY_ELSE) is None


def test_most_of_what_a_provider_says_binds_in_every_language() -> None:
    told = [*spaceless_texts.PROVIDERS, *spaceless_texts.SECOND_PROVIDERS, *spaceless_texts.THIRD_PROVIDERS]
    missed = [text for text, _ in told if quoted(text, f"B: {text}", SAID_BY_NOBODY_ELSE) is None]
    assert missed == [
        "该模型当前访问量过大，请您稍后再试",
        "当前分组上游负载已饱和，请稍后再试",
        "每分钟最多 60 次请求，您已超出，请在 23 秒后重试",
        "분당 요청 수 60회를 넘었습니다. 23초 후에 재시도하세요.",
    ]


def test_sentences_that_the_tables_were_not_made_of_are_told_apart() -> None:
    """Written when the tables were closed: 2 of 22 bind that should not, and 11 of 12 that should."""
    anybodys = [text for text in spaceless_texts.FRESH_ANYBODYS if quoted(text, text, SAID_BY_NOBODY_ELSE)]
    providers = [text for text, _ in spaceless_texts.FRESH_PROVIDERS if quoted(text, text, SAID_BY_NOBODY_ELSE)]
    assert (len(anybodys), len(spaceless_texts.FRESH_ANYBODYS)) == (2, 22)
    assert (len(providers), len(spaceless_texts.FRESH_PROVIDERS)) == (11, 12)


def test_an_answer_s_word_binds_only_where_own_evidence_does_not_give_its_reason() -> None:
    text = "余额不足或无可用资源包,请充值。"
    assert quoted(text, text, frozenset({"timeout"})) is not None
    assert quoted(text, text, frozenset({"rate_limit"})) is not None
    assert quoted(text, text, frozenset({"billing"})) is None


@pytest.mark.parametrize(
    "text",
    ["余额不足或无可用资源包,请充值。", "您的账户已达到速率限制，请您控制请求频率", "レート制限を超えました。1分あたりの上限です。",
     "アカウントの残高が不足しています", "현재 사용량 한도를 초과했습니다", "โควต้าการใช้งานของบัญชีนี้หมดแล้วในเดือนนี้"],
)  # fmt: skip
def test_a_sentence_without_spaces_is_a_text(text: str) -> None:
    claim = from_error(text)
    assert (claim.word, claim.texts) == (None, (text,))
    assert from_error({"reason": text}).texts == (text,)
    assert judge(claim, UNBOUND, OWN_TIMEOUT, ()).verdict == "unverified"
    if "โ" not in text:
        assert held(text, text).rule == "stale_error"


@pytest.mark.parametrize(
    "word", ["超时", "限流", "请求超时", "余额不足", "タイムアウト", "시간 초과", "rate limit", "timeout"]
)
def test_a_loop_s_own_word_is_a_word_in_every_script(word: str) -> None:
    claim = from_error(word)
    assert (claim.word, claim.texts) == (word, ())


@pytest.mark.parametrize(
    "text",
    [
        "Service is overloaded, please try again later.",
        "The server is currently unavailable. Please contact the administrator.",
        "An unexpected error occurred while processing your request, please retry in a few minutes.",
        "Request failed, please try again later or contact support",
        "Der Dienst ist derzeit nicht verfügbar. Bitte versuchen Sie es später erneut.",
        "Une erreur inattendue est survenue, veuillez réessayer plus tard.",
        "El servicio no está disponible temporalmente. Inténtelo de nuevo más tarde.",
        "O serviço está temporariamente indisponível. Tente novamente mais tarde.",
        "Il servizio non è al momento disponibile. Riprovare più tardi.",
        "Произошла внутренняя ошибка сервера, попробуйте позже",
    ],
)
def test_general_clauses_bind_in_no_language(text: str) -> None:
    assert held(f"B: {text}", text).verdict == "unverified"
    more = f"{text} Tenant kvarnby of zone sundsvall has no replica."
    assert held(f"B: {more}", more).rule == "stale_error"


# --- properties -------------------------------------------------------------------------------------------------------


_WORDS = st.lists(
    st.text(st.sampled_from("abcdefghijklmnop的余额残高をヲ한도"), min_size=2, max_size=8), min_size=9, max_size=24
)
_MARKS = st.sampled_from(["…", "...", "'", '"', " (B", ")", " [truncated]", "; see logs", " | B", "\nB", "<br>", ""])


@settings(max_examples=300, deadline=None)
@given(_WORDS, st.integers(0, 200), _MARKS)
def test_any_start_of_24_units_binds_before_a_mark(words: list[str], at: int, mark: str) -> None:
    message = " ".join(f"{word}x" for word in words)
    cut = message[:at].rstrip()
    if units(normalise(cut)) >= 24 and units(normalise(cut)) >= 45:
        assert quoted(message, f"B: {cut}{mark}") is not None
    own = holding(message)
    assert held(f"B: {cut}{mark}", message, own).verdict != "mismatch", "own wins"


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab 1%2B5cE4&;#x27quotamp\\u4fn<br>/+余.…\"'|[]()\n"), max_size=60))
def test_normalising_escapes_twice_is_normalising_once(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
