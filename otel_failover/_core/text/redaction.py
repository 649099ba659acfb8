"""Takes credentials out of text before it leaves the process.

Four nets, since each has holes that the others close:

- **The attempt's own credential**, known from its request, is looked for as such, in pieces and in encodings
  (`own_credentials`).
- **Known formats** (`sk-...`, `AKIA...`, PEM blocks) are known by how they start.
- **Known names** (`Authorization: ...`, `"api_key": "..."`) are known by what stands before the value.
- **What looks random** (`entropy`) finds keys of formats that we do not know.

All read the text as it stands and with its escapes undone, so that no rule has to know how often a text was quoted on
its way here.

All but what looks random is also sought across line breaks and signs of no width, and in what runs of base64, base32,
hexadecimal and decimal numbers spell (`readings`).

What stays readable is as much of the promise: message, error code, request id and model name. A rule therefore asks for
a value that looks like one, wherever its context is also ordinary English ("token: must not be empty").

Not promised: pieces of fewer than eight characters, encryption, compression, and more than two encodings within each
other.

In one file: the rules are a table each, and what reads them stands beside them.

Everything here is pure, takes time linear in the text, and raises for no string. Nearly every text holds no credential,
so each rule has a test that costs little and rules most texts out.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from otel_failover._core.text.entropy import HINT, random_spans, switches
from otel_failover._core.text.escapes import Span, compiled, from_base64, lowered, unescaped
from otel_failover._core.text.own_credentials import SCHEMES, own_secrets, own_spans
from otel_failover._core.text.readings import decoded, unbroken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["MASK", "cut", "own_secrets", "redact"]

MASK: Final = "[redacted]"

_ROUNDS: Final = 8
_QUOTINGS: Final = 4
"""So many layers of escapes are undone."""


def redact(
    text: str,
    secrets: Sequence[str] = (),
    *,
    extra: Sequence[re.Pattern[str]] = (),
    known: Sequence[str] = (),
    random: bool = True,
) -> str:
    """Return the text with every credential in it replaced by `MASK`.

    A mask changes what stands beside it, and so may complete another match; the rules are therefore applied
    until nothing changes, which makes the function idempotent. A text that keeps changing is built to do so;
    it becomes one mask.

    Args:
        text: Any string, lone surrogates included.
        secrets: Values that must not be in the result, as `own_secrets` gives them.
        extra: The user's patterns. Each match is masked whole. Their running time is their author's.
        known: Further values that must not be in the result.
        random: What only looks random is masked.
    """
    if known:
        secrets = tuple(dict.fromkeys((*secrets, *known)))
    for _ in range(_ROUNDS):
        spans = _spans(text, secrets, extra, random=random)
        if not spans:
            return text
        masked = _masked(text, spans)
        if masked == text:
            return text
        text = masked
    return MASK


def cut(text: str, limit: int) -> str:
    """Return the text in at most `limit` characters, an ellipsis in place of what is left out.

    Cut after `redact`, never before: half a key has no format to be known by.
    """
    if len(text) <= limit:
        return text
    return text[: limit - 1] + "…" if limit > 0 else ""


def _masked(text: str, spans: Iterable[Span]) -> str:
    """Replace each unbroken stretch by one mask; masks that are there take part, so that they stay whole."""
    parts: list[str] = []
    end = 0
    for start, stop in _merged([*spans, *(match.span() for match in compiled(re.escape(MASK)).finditer(text))]):
        parts += (text[end:start], MASK)
        end = stop
    return "".join((*parts, text[end:]))


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Join spans that overlap or touch."""
    merged: list[Span] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


# --- two readings of a text -------------------------------------------------------------------------------------------


def _spans(text: str, secrets: Sequence[str], extra: Sequence[re.Pattern[str]], *, random: bool) -> list[Span]:
    """Find what to mask, in the text as it stands, with its escapes undone, across its breaks, and decoded.

    Rows of letters and digits are judged with all escapes undone: else they run into those ("%22sk").
    """
    spans: list[Span] = []
    places: Sequence[int] | None = None
    for _ in range(_QUOTINGS):
        if not ("%" in text or "\\" in text or ("&" in text and ";" in text)):
            break
        reading, starts = unescaped(text)
        if len(reading) == len(text):
            break
        spans += _placed(_found(text, secrets, extra, random=False), places)
        places = starts if places is None else [places[start] for start in starts]
        text = reading
    found = _found(text, secrets, extra, random=random)
    found += _across_breaks(text, found)
    found += _encoded(text, secrets)
    return spans + _placed(found, places)


def _placed(spans: list[Span], places: Sequence[int] | None) -> list[Span]:
    """Return where the spans of a reading stand in the text."""
    return spans if places is None else [(places[start], places[stop]) for start, stop in spans]


def _found(text: str, secrets: Sequence[str], extra: Sequence[re.Pattern[str]], *, random: bool = True) -> list[Span]:
    """Find what to mask in one reading."""
    small = lowered(text)
    spans = own_spans(text, small, secrets) if secrets else []
    if hint := _glance().search(text):
        if _glance(random=False).search(text, hint.start()):
            spans += _known(text, text, [key for key in _KEYS if key.needle in text])
        if random:
            drawn = random_spans(text, hint.start())
            pictures = [found.span() for found in compiled(_PICTURE).finditer(text)] if "base64," in small else []
            spans += [each for each in drawn if not any(start <= each[0] < stop for start, stop in pictures)]
    spans += _cued(text, small)
    for pattern in extra:
        spans += [match.span() for match in pattern.finditer(text) if match[0]]
    return spans


_PICTURE: Final = r"data:(?:image|audio|video|font)/[\w.+-]{1,40};base64,[A-Za-z0-9+/=_-]*"


def _cued(text: str, small: str) -> list[Span]:
    """Find values by what stands before them."""
    spans: list[Span] = []
    for cue in filter(small.__contains__, _CUES):
        formats, names = _CUES[cue]
        spans += _known(text, small, formats)
        for name, kind in names:
            spans += _named(text, compiled(name).finditer(small), kind)
    return spans


def _across_breaks(text: str, found: Sequence[Span]) -> list[Span]:
    """Find keys with a break in them, and what of those that were found goes on behind one.

    Args:
        text: Its escapes are undone.
        found: In it.
    """
    joined = unbroken(text)
    if joined is None:
        return []
    reading, places, breaks = joined
    spans: list[Span] = []
    if _glance(random=False).search(reading):
        for start, stop in _known(reading, reading, [key for key in _KEYS if key.needle in reading]):
            # The last lines may be words, no more of the key.
            last, end = bisect_left(breaks, stop) - 1, stop
            while last >= 0 and breaks[last] > start and not _goes_on(reading[breaks[last] : end]):
                end, last = breaks[last], last - 1
            spans.append((places[start], places[end - 1] + 1))
    ends = {stop for _, stop in found}
    for at in breaks:
        if at and places[at - 1] + 1 in ends:
            rest = compiled(_REST).match(reading, at)
            if rest is not None and _goes_on(rest[0]):
                spans.append((places[at - 1], places[rest.end() - 1] + 1))
                ends.add(places[rest.end() - 1] + 1)
    return spans


_REST: Final = r"(?a)[\w+/=~-]+"


def _goes_on(piece: str) -> bool:
    """Tells the rest of a key from the first word of the next line."""
    return switches(piece) >= 2 and compiled(_CAMEL).fullmatch(piece) is None


def _encoded(text: str, secrets: Sequence[str]) -> list[Span]:
    """Find runs that spell a text with a credential in it, in base64, hexadecimal and their like."""
    spans: list[Span] = []
    for spelt, span in decoded(text):
        small = lowered(spelt)
        if (
            (secrets and own_spans(spelt, small, secrets))
            or (_glance(random=False).search(spelt) and _known(spelt, spelt, [k for k in _KEYS if k.needle in spelt]))
            or _cued(spelt, small)
        ):
            spans.append(span)
    return spans


def _known(text: str, searched: str, formats: Iterable[_Format]) -> list[Span]:
    """Find credentials by their looks."""
    return [
        match.span(match.lastindex or 0)
        for each in formats
        for match in compiled(each.pattern).finditer(searched)
        if each.accept(text[slice(*match.span(match.lastindex or 0))])
    ]


# --- values that look like one ----------------------------------------------------------------------------------------

# What stands where a value is missing, or goes on a sentence.
_NO_VALUE: Final = frozenset(
    """
    none null nil true false undefined empty missing invalid required expired unknown unset unauthorized
    revoked wrong not must is are was be has should cannot a an the and or for in of to from your token key
    secret password header value string str bytes object optional bearer basic digest auth authentication
    authorization credentials scheme realm aws4-hmac-sha256
    """.split()  # noqa: SIM905 - lines of words, not a column
)


def _always(_: str) -> bool:
    """Accept a match on its pattern alone."""
    return True


# What documents put there: YOUR_API_KEY, <your key>, $OPENAI_API_KEY, {api_key}
_EXAMPLE: Final = (
    r"(?i)[<{$(\[]{0,3}(?:your|my)[a-z _-]{0,40}(?:key|token|secret|here)[>})\]]{0,3}|[<{$]{1,3}[a-z_]{1,60}[>}]{0,3}"
)


def _is_no_word(value: str) -> bool:
    """Tells a value from a word that stands in its place."""
    return value.lower() not in _NO_VALUE and compiled(_EXAMPLE).fullmatch(value) is None


def _holds_password(value: str) -> bool:
    """Whether what follows the word "Basic" decodes to `user:password`, or it is a basic something."""
    decoded = from_base64(value[:400])
    return b":" in decoded and all(byte >= 0x20 for byte in decoded)


# Something that no English word has: a digit, a capital within, asterisks, an ellipsis in front of more.
_RANDOM: Final = r"\d|[a-z][A-Z]|\*\*|\.{3}\w|…\w|[A-Za-z]{20}"
_CAMEL: Final = r"(?:[A-Z][a-z]{2,20}){2,6}"


def _is_random(value: str) -> bool:
    """Tells a value from the next word of a sentence."""
    return compiled(_RANDOM).search(value[:80]) is not None and compiled(_CAMEL).fullmatch(value) is None


def _is_irregular(value: str) -> bool:
    """Tells a value from a name with a number in it."""
    return switches(value) + value.count("+") + value.count("=") >= 2 or (len(value) >= 12 and value.isdigit())


class _Format(NamedTuple):
    """A kind of credential that is known by its looks.

    Attributes:
        pattern: Its last group is masked, or all of the match if it has none. It must fail within a bounded
            number of characters: an unbounded part may only come where nothing that can fail comes after it.
        accept: Judges the text to be masked.
        needle: Without it in the text, the pattern cannot match.
    """

    pattern: str
    accept: Callable[[str], bool] = _always
    needle: str = ""


# --- known formats ----------------------------------------------------------------------------------------------------

_ALNUM: Final = r"[A-Za-z0-9]"
_PRIVATE_KEY: Final = r"[A-Z0-9 _-]{0,100}PRIVATE KEY(?: BLOCK)?-----"
# A key that its provider has partly hidden ("sk-proj-****abcd", "sk-...abcd"), or that ends where the text was cut.
_HIDDEN: Final = r"[\w-]{0,40}(?:[*•]{2,}|\.{3,}(?=\w)|…(?=\w))|(?=[A-Za-z_-]{0,40}\d)[\w-]{6,60}(?:\.{3}|…)?\Z"

# Prefixes that give a key away, and what must follow.
_PREFIXES: Final = (
    # OpenAI, Anthropic, OpenRouter, Langfuse; and the bare prefix that a dozen providers share. A name such as
    # "sk-learn" has neither capitals nor digits.
    ("sk-", r"(?:proj|svcacct|admin|ant|or|lf)-[\w-]{6}|(?=[a-z_-]{0,60}[A-Z0-9])[\w-]{16}"),
    ("csk-", r"[a-z0-9]{20}"),  # Cerebras
    ("sess-", rf"{_ALNUM}{{24}}"),
    ("AIza AQ. GOCSPX-", r"[\w-]{10}"),  # Google
    ("AKIA ASIA ABIA ACCA", r"[A-Z0-9]{12}"),  # AWS
    # Hugging Face, Groq, xAI, Perplexity (whose older models are pplx-70b-online), Replicate, Fireworks
    ("hf_ api_org_ gsk_ xai- pplx- r8_ fw_", rf"{_ALNUM}{{20}}"),
    ("nvapi-", r"[\w-]{20}"),
    ("ghp_ gho_ ghu_ ghs_ ghr_", rf"{_ALNUM}{{20}}"),  # GitHub
    ("github_pat_", r"\w{20}"),
    ("glpat-", r"[\w-]{16}"),
    ("xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-", r"[\w-]{10}"),  # Slack
    ("sk_live_ sk_test_ rk_live_ rk_test_", rf"{_ALNUM}{{10}}"),  # Stripe
    ("npm_", rf"{_ALNUM}{{30}}"),
    ("pypi-Ag", r"[\w-]{16}"),
)

_KEYS: Final = (
    *(
        _Format(rf"(?a){re.escape(start)}(?<![A-Za-z0-9]{re.escape(start)})(?:{_HIDDEN}|{rest})[\w*•…-]*", needle=start)
        for starts, rest in _PREFIXES
        for start in starts.split()
    ),
    _Format(r"(?a)ya29\.[\w-]{10,}(?:\.[\w-]+)*", needle="ya29."),
    *(
        _Format(rf"{start}[A-Za-z0-9+/]{{20,}}={{0,2}}", needle=start)
        for start in ("ABSK", "bedrock-api-key-")  # Bedrock, for long and for short
    ),
    _Format(rf"{_ALNUM}{{52}}JQQJ9{_ALNUM}{{10,}}", needle="JQQJ9"),  # Azure
    _Format(r"(?a)(?<![A-Za-z0-9])eyJ[\w-]{16,}(?:\.[\w-]+){0,4}", needle="eyJ"),  # JWT
    _Format(r"""://([^\s/?#"'<>@:]*:[^\s/?#"'<>]+|[^\s/?#"'<>@:,]{16,})@""", needle="@"),
    # A password with what a URL may not have, and people's have. A port, and a path with "@" in it, look alike.
    _Format(
        r"""://(?=([^\s"'<>/?#@:]{0,64}:(?!\d{0,5}(?:[/?#]|$))[^\s"'<>]{1,256})@[\w\[])\1""",
        needle="@",
    ),
    _Format(rf"(?s)-----BEGIN{_PRIVATE_KEY}.*?(?:-----END{_PRIVATE_KEY}|\Z)", needle="-----BEGIN"),
)


@functools.cache
def _glance(*, random: bool = True) -> re.Pattern[str]:
    """Return one pattern that finds the needle of any key, quickly, and the hint of what may be random.

    Each needle has a character that is no small letter. Such are rare in prose, so this looks for them first,
    and only then at what stands before and after.
    """
    around: defaultdict[str, list[str]] = defaultdict(list)
    for needle in dict.fromkeys(key.needle for key in _KEYS):
        at = next(at for at, char in enumerate(needle) if not char.islower())
        before, anchor, after = needle[:at], re.escape(needle[at]), re.escape(needle[at + 1 :])
        around[anchor].append(f"(?<={re.escape(before)}{anchor}){after}")
    for digit in "0123456789" if random else "":
        around[digit].append(HINT)
    return re.compile("|".join(f"{anchor}(?:{'|'.join(rest)})" for anchor, rest in around.items()))


# --- values with a name -----------------------------------------------------------------------------------------------

_KINDS_OF_KEY: Final = """
    api access account auth encryption functions master private secret service shared signing subscription
    virtual
""".split()  # noqa: SIM905 - a line of words, not a column
_SIGN: Final = r"""["'`]?\s{0,20}(?:value(?==))?(?P<sign>=>?|==|:=|:(?!//))\s{0,20}(?:\[\s{0,3}(?=b?["']))?"""
_HEADER: Final = r"[\w-]{0,60}(?:api-?key|authorization|cookie|credential|password|secret|signature|token)"

_Kind = Literal["sure", "usual", "vague"]
_Name = tuple[str, _Kind]


def _name(word: str, before: str = "", kind: _Kind = "usual") -> _Name:
    """Describe what a value's name ends in, in small letters.

    Args:
        word: It comes first in the pattern, since one that starts with plain characters is searched for fast.
        before: Looks back from the end of the word.
        kind: Whether a value follows for sure; else whether the name is also used for other things.
    """
    return word + before + _SIGN, kind


def _place(word: str) -> _Format:
    """Describe a key's place in a path: "/v1/tokens/f3a...", not that of its id ("/api_keys/key_f3a...")."""
    return _Format(rf"/(?:[\w-]{{0,20}}[_-])?{word}/(?!(?:key|tok|cred|sec|id)[_-])([\w.~+=*…-]{{8,}})", _is_drawn)


def _is_drawn(value: str) -> bool:
    """Tells a key in a path from a name, a version, or the number of a thing: UUIDs are those."""
    return switches(value) >= 3 and compiled(_NUMBERED).fullmatch(value) is None and value.count("-") < 5


_NUMBERED: Final = r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z]{2,20}(?:[-_.][a-z0-9.]{1,12}){1,6}"


def _phrase(word: str) -> _Format:
    """Describe "the token 'f3a...' has expired"."""
    return _Format(
        rf"""{word}\s{{1,3}}["'`(<]?(?:(?<=["'`])([^\s"'`]{{10,}})|([\w.~+/=-]{{9,}}[\w/=]))""", _is_irregular
    )


# By a needle in the text in small letters: what to look for in that, then.
_CUES: Final[dict[str, tuple[tuple[_Format, ...], tuple[_Name, ...]]]] = {
    "key": (
        (_phrase("key"),),
        (
            _name("key", f"(?:{'|'.join(f'(?<={kind}key)|(?<={kind}.key)' for kind in _KINDS_OF_KEY)})"),
            # In a query. Elsewhere a bare "key" is as often that of a dictionary.
            _name("key", "(?<=[?&]key)", "sure"),
            _name(r"key (?:provided|expected\. received)", "", "sure"),  # as OpenAI and LiteLLM's proxy say it
        ),
    ),
    "token": ((_phrase("token"),), (_name("token", "", "vague"),)),
    "secret": ((_phrase("secret"),), (_name("secret"),)),
    # /tokens/K, /api-keys/K, /bot123456:K/sendMessage, and the addresses that are keys: webhooks
    "keys/": ((_place("keys"),), ()),
    "key/": ((_place("key"),), ()),
    "tokens/": ((_place("tokens"),), ()),
    "token/": ((_place("token"),), ()),
    "secrets/": ((_place("secrets"),), ()),
    "secret/": ((_place("secret"),), ()),
    "credentials/": ((_place("credentials"),), ()),
    "passwords/": ((_place("passwords"),), ()),
    "sessions/": ((_place("sessions"),), ()),
    "/bot": ((_Format(r"/bot([0-9]{5,12}(?::|%3a)[\w-]{20,})"),), ()),
    "hook": (
        (
            _Format(r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/([\w./-]{8,})"),
            _Format(r"/webhooks/[0-9]{5,25}/([\w-]{20,})"),  # Discord
            _Format(r"webhook(?:b2)?/([\w@/.-]{16,})", _is_irregular),  # Teams
            _place("hooks?"),
            _place("webhooks?"),
        ),
        (),
    ),
    "pass": ((), (_name("password"), _name("passwd"), _name("passphrase"))),
    "pwd": ((), (_name("pwd", "(?<![a-z]pwd)"),)),
    "authoriz": ((), (_name("authorization", "", "vague"),)),
    "sig": ((), (_name("signature", "", "vague"), _name("sig", "(?<![a-z]sig)", "vague"))),
    "credential": ((), (_name("credential", "", "vague"),)),
    "_id": ((), (_name("client_id"), _name("api_id"), _name("access_id"), _name("key_id", "(?<=access_key_id)"))),
    "bearer": (
        (_Format(r"""bearer(?:\s{1,3}|\+)(?!\w{1,20}=\\{0,4}["'])([\w.~+/=*•…-]{6,})""", _is_random),),
        (),
    ),
    "basic": ((_Format(r"basic(?:\s{1,3}|\+)([a-z0-9_+/-]{8,}={0,2})", _holds_password),), ()),
    "cookie": ((_Format(r"""cookie["']?\s{0,3}[:=]\s{0,3}b?["']?([^\s=;"']{1,60}=[^"'\r\n]+)"""),), ()),
    # [('x-api-key', '...'), (b'authorization', b'Bearer ...')]
    "', ": (
        (_Format(rf"""\(b?'{_HEADER}', b?["'](?:(?:bearer|basic)[ ])?([^"'\\\n]+(?:\\.[^"'\\\n]*)*)""", _is_no_word),),
        (),
    ),
}

_VALUE: Final = r"""(?xi)
    b?" (?P<double> [^"\\\n]* (?: \\. [^"\\\n]* )* )
  | b?' (?P<single> [^'\\\n]* (?: \\. [^'\\\n]* )* )
  | (?P<bare> (?: (?:bearer|basic|token|apikey|api-key|digest|negotiate) [ ]{1,3} )? [^\s"'`&,;<>\\]+ )
"""
_NUMBER: Final = r"[\d.,:+-]*"
_SENTENCE: Final = (
    r"(?i)\D*\b(?:is|are|was|be|must|should|can|cannot|not|required|invalid|missing|expired|provide|set)\b\D*"
)


def _named(text: str, names: Iterable[re.Match[str]], kind: _Kind) -> list[Span]:
    """Find values by the name before them, as in headers, JSON, queries, settings and representations."""
    spans: list[Span] = []
    end = 0
    for name in names:
        value = compiled(_VALUE).match(text, name.end()) if name.start() >= end else None
        if value is None:
            continue
        start, stop = _value_span(text, value)
        has_scheme = start > value.start(value.lastgroup or 0)
        in_prose = value.lastgroup == "bare" and name["sign"] == ":"
        if _is_value(text[start:stop], "sure" if has_scheme else kind, in_prose=in_prose):
            spans.append((start, stop))
            end = value.end()  # a row of names is one value; reading it again from each would not be linear
    return spans


def _value_span(text: str, value: re.Match[str]) -> Span:
    """Leave out the scheme ("Bearer ") before a value and the full stop after it."""
    start, stop = value.span(value.lastgroup or 0)
    scheme = compiled(SCHEMES).match(text, start, stop)
    start = scheme.end() if scheme else start
    if value.lastgroup == "bare":
        stop = start + len(text[start:stop].rstrip(".:!?"))
    return start, max(start, stop)


def _is_value(value: str, kind: _Kind, *, in_prose: bool) -> bool:
    """Tells a value from the rest of a sentence, or of a program.

    Every refusal is of a short text, so that reading on within it stays linear.
    """
    if not value or not _is_no_word(value):
        return False
    if len(value) >= 64:
        return True
    if kind == "vague" and (len(value) < 8 or compiled(_NUMBER).fullmatch(value)):
        return False
    if in_prose and kind != "sure":
        return _is_random(value)
    return " " not in value or not compiled(_SENTENCE).fullmatch(value)
