"""How the text of an error is rendered, cut, escaped and wrapped on its way: the enumerated table.

Each way takes an error as a loop holds it and gives back what the loop says, with what is left in it of the error: that is
known by construction, and what a verdict must be follows from it.
"""

from __future__ import annotations

import functools
import html
import json
import re
import textwrap
import urllib.parse
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tests.truth.ways.units import BEFORE_WORDS, STARTS, WHOLE, Binding, bare, binding, units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Told:
    """One candidate's error, as a loop holds it.

    Args:
        provider: Whose it is.
        model: That was asked.
        url: That was asked.
        shown: What the SDK's exception says of itself.
        message: The provider's sentence; where nothing was answered, the SDK's.
        status: Of the answer; None where there was none.
        code: The provider's.
        kind: What stands as the error's type beside it, where it says no more than a class of errors.
        body: Of the answer.
        request_id: That the answer was issued with.
        problem: The SDK's exception.
    """

    provider: str
    model: str
    url: str
    shown: str
    message: str
    status: int | None = None
    code: str | None = None
    kind: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    problem: Exception | None = None


@dataclass(frozen=True)
class Carried:
    """What a loop says, and what stands in it.

    Args:
        text: As it is said.
        plain: The same without what was done to it: what a reader would make of it.
        cut: Whether `plain` breaks off somewhere; then `kept` is what stands before that.
        kept: Of `plain`, before the cut and its mark.
        marked: Whether the mark is one that the contract knows: a start of 24 units binds before it, else of 48.
        rendered: Whether it is an SDK's rendering of an answer, whose code is a fact.
    """

    text: str
    plain: str
    cut: bool = False
    kept: str = ""
    marked: bool = True
    rendered: bool = False


def said(text: str, *, rendered: bool = False) -> Carried:
    """Return what was said without more ado."""
    return Carried(text, text, kept=text, rendered=rendered)


# --- how it is rendered -----------------------------------------------------------------------------------------------

_PHRASES: Final = {400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
                   429: "Too Many Requests", 503: "Service Unavailable", 529: ""}  # fmt: skip
_CLASSES: Final = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError"}


def _class_of(told: Told) -> str:
    return _CLASSES.get(told.status or 0, "APIError")


def _googles(told: Told) -> str:
    body = {"error": {"code": told.status, "message": told.message, "status": told.code}}
    return f"{told.status} {told.code}. {body}"


RENDERED: Final[Mapping[str, Callable[[Told], Carried]]] = {
    # The error's own words.
    "as-is": lambda told: said(told.message),
    "str": lambda told: said(told.shown, rendered=True),
    "first-line": lambda told: said(told.shown.splitlines()[0], rendered=True),
    "repr": lambda told: replace(said(repr(told.problem), rendered=True), plain=told.shown, kept=told.shown),
    "body-json": lambda told: said(json.dumps(told.body, ensure_ascii=False), rendered=True),
    "body-ascii": lambda told: replace(
        said(json.dumps(told.body, ensure_ascii=False), rendered=True), text=json.dumps(told.body)
    ),
    "body-repr": lambda told: said(repr(told.body), rendered=True),
    # What SDKs and gateways make of an answer.
    "openai-sdk": lambda told: said(f"Error code: {told.status} - {told.body!r}", rendered=True),
    "google-sdk": lambda told: said(_googles(told), rendered=True),
    "botocore": lambda told: said(
        f"An error occurred ({told.code}) when calling the Converse operation: {told.message}", rendered=True
    ),
    "botocore-retried": lambda told: said(
        f"An error occurred ({told.code}) when calling the ConverseStream operation (reached max retries: 4): "
        f"{told.message}",
        rendered=True,
    ),
    "pydantic-ai": lambda told: said(
        f"status_code: {told.status}, model_name: {told.model}, body: {told.body!r}", rendered=True
    ),
    "litellm": lambda told: said(
        f"litellm.{_class_of(told)}: {_class_of(told)}: OpenAIException - {told.message}", rendered=True
    ),
    "litellm-body": lambda told: said(
        f"litellm.{_class_of(told)}: AnthropicException - {json.dumps(told.body, ensure_ascii=False)}. "
        "Received Model Group=default\nAvailable Model Group Fallbacks=None",
        rendered=True,
    ),
    "mistral-sdk": lambda told: said(
        f"API error occurred: Status {told.status}. Body: {json.dumps(told.body, ensure_ascii=False)}", rendered=True
    ),
    # What loops put before it.
    "provider-failed": lambda told: said(f"candidate failed: {told.shown}", rendered=True),
    "last-error": lambda told: said(f"All models failed. Last error: {told.shown}", rendered=True),
    "class-colon": lambda told: said(f"{_class_of(told)}: {told.message}"),
    "status-colon": lambda told: said(f"HTTP {told.status}: {told.message}"),
    "label": lambda told: said(f"[attempt 2/3] LLM request failed: {told.message}"),
    "giving-up": lambda told: said(f"request failed: {told.message} (giving up after 3 retries)"),
    "exception-line": lambda told: said(f"openai.{_class_of(told)}: {told.shown}", rendered=True),
}

# --- how it is cut ----------------------------------------------------------------------------------------------------

MARKS: Final[Mapping[str, str]] = {
    "nothing": "",
    "ellipsis": "…",
    "dots": "...",
    "ellipsis-in-brackets": " […]",
    "apostrophe": "'",
    "quote": '"',
    "quote-and-more": "' (code 7)",
    "bracket": ")",
    "square-bracket": "] next",
    "brace": "}",
    "pipe": " | retrying",
    "semicolon": "; retrying",
    "line-break": "\nretrying",
    "markup": "<br>retrying",
    "bold": "** retrying",
    "truncated": " [truncated]",
    "glued-truncated": "[truncated]",
    "in-parentheses": " (truncated)",
    "count": " (+120 more)",
    "count-of-characters": "... (120 characters more)",
    "cut": " [cut]",
    "dots-cut": "... (cut)",
    "see-logs": "; see logs",
    "angle": "<truncated>",
}
"""Behind each of these a start of 24 units binds."""
WORDS: Final[Mapping[str, str]] = {"ordinary-words": " and so the next one is asked", "comma-and-words": ", we go on"}
"""Behind these, one of 48."""
LENGTHS: Final = (12, 34, 60)
"""Characters of the message that are left: too few, enough before a break, enough before ordinary words."""


def cut(carried: Carried, message: str, left: int, mark: str, *, marked: bool = True) -> Carried:
    """Cut a text where so many characters of the message are left, and put a mark there.

    Args:
        carried: What is said.
        message: The sentence in it.
        left: How much of the sentence is left, in characters.
        mark: What the loop puts in place of the rest.
        marked: Whether that is a break.
    """
    at = carried.plain.find(message[:8])
    end = (max(at, 0)) + left
    if end >= len(carried.plain):
        return carried
    kept = carried.plain[:end]
    return replace(carried, text=kept + mark, plain=kept + mark, cut=True, kept=kept, marked=marked)


# --- how it is escaped and wrapped ------------------------------------------------------------------------------------


def _glued(text: str, width: int) -> str:
    """Break a text every so many characters, in the middle of words."""
    return "\n".join(text[start : start + width] for start in range(0, len(text), width))


def _sentence_in_json(text: str) -> str:
    return json.dumps({"error": {"message": text}}, ensure_ascii=False)


ESCAPES: Final[Mapping[str, Callable[[str], str]]] = {
    "html": html.escape,
    "html-twice": lambda text: html.escape(html.escape(text)),
    "html-numbers": lambda text: "".join(c if c.isascii() and c != "'" else f"&#{ord(c)};" for c in text),
    "url": urllib.parse.quote,
    "url-form": urllib.parse.quote_plus,
    "url-in-query": lambda text: f"https://app.example/failed?retry=1&{urllib.parse.urlencode({'error': text})}",
    "url-twice": lambda text: urllib.parse.quote(urllib.parse.quote(text)),
    "json": json.dumps,
    "json-utf8": lambda text: json.dumps(text, ensure_ascii=False),
    "json-object": _sentence_in_json,
    "json-in-json": lambda text: json.dumps({"detail": json.dumps({"message": text})}),
    "json-thrice": lambda text: json.dumps(json.dumps(json.dumps([text]))),
    "repr": repr,
    "repr-of-repr": lambda text: repr(repr(text)),
    "repr-of-json": lambda text: repr(json.dumps({"m": text})),
    "ascii": ascii,
    "bytes": lambda text: repr(text.encode()),
    "upper": str.upper,
    "no-break-spaces": lambda text: text.replace(" ", "\u00a0"),
    "wide-spaces": lambda text: text.replace(" ", "  "),
    "lines": lambda text: text.replace(" ", "\n"),
    "quoted-lines": lambda text: "\n".join("> " + line for line in textwrap.wrap(text, 40)),
    "colour": lambda text: f"\x1b[31m{text}\x1b[0m",
    "bold": lambda text: f"**{text}**",
    "tags": lambda text: f"<p>{html.escape(text)}</p>",
    "code-block": lambda text: f"```\n{text}\n```",
    "typographic-quotes": lambda text: f"\u201c{text}\u201d",
    "guillemets": lambda text: f"\u00bb{text}\u00ab",
    "wrap-20": lambda text: textwrap.fill(text, 20),
    "wrap-40": lambda text: textwrap.fill(text, 40),
    "wrap-72": lambda text: textwrap.fill(text, 72),
    "wrap-indented": lambda text: textwrap.fill(text, 40, subsequent_indent="    "),
    "wrap-long-words": lambda text: textwrap.fill(text, 16, break_long_words=True, break_on_hyphens=True),
    "wrap-in-words": lambda text: _glued(text, 33),
    "wrap-in-words-indented": lambda text: _glued(text, 41).replace("\n", "\n    "),
    "wrap-hyphenated": lambda text: re.sub(r"(\w{6})(?=\w{3})", "\\1-\n", text, count=3),
    "zero-width": lambda text: text.replace(" ", " \u200b"),
    "soft-hyphen": lambda text: re.sub(r"(\w{6})(?=\w{3})", "\\1\u00ad", text, count=3),
}
"""What is done to a whole text; all of it is to be undone before texts are compared."""


def escaped(carried: Carried, escape: Callable[[str], str]) -> Carried:
    """Return what is said, escaped or wrapped: what stands in it is the same."""
    return replace(carried, text=escape(carried.text))


# --- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TextWay:
    """One way in which a text is carried.

    Args:
        id: Of the row.
        carry: From an error to what is said.
        whole: Whether nothing is lost: then the candidate's own error, carried so, is verified.
    """

    id: str
    carry: Callable[[Told], Carried]
    whole: bool = True


def _cutting(rendering: str, left: int, mark: str, *, marked: bool) -> Callable[[Told], Carried]:
    return lambda told: cut(RENDERED[rendering](told), told.message, left, mark, marked=marked)


def _cut_in_code(told: Told) -> Carried:
    """The SDK's rendering, cut inside the code: nothing of the sentence is left."""
    carried = RENDERED["openai-sdk"](told)
    at = carried.plain.find(str(told.code))
    if told.code is None or at < 0:
        return carried
    kept = carried.plain[: at + max(5, len(told.code) * 2 // 3)]
    return replace(carried, text=kept + "...", plain=kept + "...", cut=True, kept=kept)


def _table() -> list[TextWay]:
    rows = [TextWay(f"rendered-{name}", render) for name, render in RENDERED.items()]
    for name, mark in (*MARKS.items(), *WORDS.items()):
        marked = name in MARKS
        rows += [
            TextWay(f"cut-{rendering}-{left}-{name}", _cutting(rendering, left, mark, marked=marked), whole=False)
            for rendering in ("as-is", "openai-sdk")
            for left in LENGTHS
        ]
    rows.append(TextWay("cut-in-code", _cut_in_code, whole=False))
    for name, escape in ESCAPES.items():
        for rendering in ("as-is", "openai-sdk"):
            rows.append(
                TextWay(
                    f"escaped-{rendering}-{name}",
                    lambda told, r=rendering, e=escape: escaped(RENDERED[r](told), e),  # type: ignore[misc]
                )
            )
        if name.startswith(("html", "url", "json", "repr", "wrap")):
            rows.append(
                TextWay(
                    f"escaped-cut-{name}",
                    lambda told, e=escape: escaped(  # type: ignore[misc]
                        cut(RENDERED["as-is"](told), told.message, 60, "..."), e
                    ),
                    whole=False,
                )
            )
    return rows


TEXT_WAYS: Final = _table()

# --- what must be found out -------------------------------------------------------------------------------------------


_LONGEST: Final = 200
"""More of a sentence is nowhere left by a cut."""


def _kept_of(message: str, carried: Carried) -> tuple[int | None, bool]:
    """Return how many characters of a sentence stand in what is said, from its start, and whether that is all of it."""
    plain, sentence = _flat(carried.kept), _flat(message)
    if sentence in plain:
        return None, True
    tail = plain[-_LONGEST:]
    for length in range(min(len(sentence), _LONGEST), 3, -1):
        if tail.endswith(sentence[:length]):
            return length, False
    return 0, False


@functools.lru_cache(4096)
def _flat(text: str) -> str:
    return " ".join(re.sub(r"[\\'\"]", "", text).split())


_BREAKS_A_CODE: Final = ("", "…", ".", "[", "(")
"""What shows that a code is cut, and no word of its own: the contract names no other mark for codes."""
BROAD: Final = ("invalid_request_error", "server_error", "api_error", "error")
"""Codes that say no more than a class of errors: whether one alone shows whose it is, is a matter of taste."""
KNOWN_CODES: Final = (
    "insufficient_quota", "rate_limit_exceeded", "rate_limit_error", "model_not_found", "invalid_request_error",
    "permission_denied", "permission_error", "ThrottlingException", "invalid_value", "overloaded_error",
    "not_found_error", "authentication_error", "insufficient_balance_error", "api_error",
    "invalid_api_key", "server_error", "timeout_error", "billing_error", "RESOURCE_EXHAUSTED",
)  # fmt: skip


def _code_binds(told: Told, carried: Carried, own: str) -> Binding:
    """Whether the code in an SDK's rendering shows whose it is."""
    code = told.code
    if carried.rendered and told.kind and told.kind in carried.kept and bare(told.kind) not in own:
        return Binding.EITHER
    if not carried.rendered or not code or bare(code) in own:
        return Binding.CANNOT
    if code in carried.kept and code not in carried.text and code.upper() in carried.text:
        return Binding.EITHER  # in capitals it is none that anybody sends
    if code in carried.kept:
        return Binding.MUST if code in KNOWN_CODES and code not in BROAD else Binding.EITHER
    for length in range(len(code) - 1, 4, -1):
        if carried.cut and carried.kept.endswith(code[:length]):
            # Which codes it is held against is not said: those of this run, or all that are known.
            alone = sum(known.startswith(code[:length]) for known in KNOWN_CODES) == 1
            mark = carried.plain[len(carried.kept) :].lstrip()
            return Binding.MUST if alone and mark[:1] in _BREAKS_A_CODE else Binding.EITHER
    return Binding.CANNOT


def expected(told: Told, carried: Carried, own_texts: tuple[str, ...] = ()) -> Binding:
    """Return whether what is said for another candidate shows whose error it is.

    Args:
        told: Whose it is.
        carried: What is said.
        own_texts: All that the judged candidate sent or received: own wins every tie.
    """
    own = " ".join(map(bare, own_texts))
    length, whole = _kept_of(told.message, carried)
    least = WHOLE if whole or carried.marked else BEFORE_WORDS
    sentence = _flat(told.message)
    # An own answer may give the reason that a few characters name: it is not said here which reason that is.
    weighed = binding(sentence, length, least=least, own_reason=bool(own))
    if weighed is Binding.CANNOT and least == BEFORE_WORDS and units(sentence[:length]) >= STARTS:
        weighed = Binding.EITHER  # an earlier run's message is known by so much of its start
    by_text = Binding.CANNOT if bare(sentence[:length]) in own else weighed
    found = {by_text, _code_binds(told, carried, own)}
    named = told.request_id is not None and "REQUEST_ID" not in carried.text  # in capitals it is no id any more
    if named and "request_id" in carried.kept and str(told.request_id) in carried.kept:
        found.add(Binding.MUST)
    return next(each for each in (Binding.MUST, Binding.EITHER, Binding.CANNOT) if each in found)
