"""Takes credentials out of text before it leaves the process.

Two nets, since each has holes that the other closes:

- **The attempt's own credential**, known from its request (`own_secrets`), is looked for as such: whole, or
  any piece of eight characters or more, plain, percent-encoded, base64, base64url or hex. This holds for keys
  of any format, and does not depend on how the text speaks of them.
- **Known formats and names** (`sk-...`, `Authorization: ...`, `"api_key": "..."`) find credentials that are
  not ours to know: of another provider, of a proxy, of the caller.

Both read the text twice: as it stands, and with its percent and backslash escapes undone, so that no rule has
to know how often a text was quoted on its way here.

What stays readable is as much of the promise: message, error code, request id and model name. A rule
therefore asks for a value that looks like one, wherever its context is also ordinary English ("token: must
not be empty").

Not promised: pieces of fewer than eight characters, encryption, compression, and encodings within encodings
other than percent escapes.

Everything here is pure, takes time linear in the text, and raises for no string. Nearly every text holds no
credential, so each rule has a test that costs little and rules most texts out.
"""

from __future__ import annotations

import base64
import functools
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["MASK", "cut", "own_secrets", "redact"]

MASK: Final = "[redacted]"

_Span = tuple[int, int]

_PIECE: Final = 8  # characters of a credential that must not be readable in a row
_BASE64_PIECE: Final = 10  # base64 characters that eight bytes fix, at the worst alignment
_HEX_PIECE: Final = 16
_SHORTEST: Final = 4  # below this a value says nothing, and masking it would eat words
_ROUNDS: Final = 8


def redact(text: str, secrets: Sequence[str] = (), *, extra: Sequence[re.Pattern[str]] = ()) -> str:
    """Returns the text with every credential in it replaced by `MASK`.

    A mask changes what stands beside it, and so may complete another match; the rules are therefore applied
    until nothing changes, which makes the function idempotent. A text that keeps changing is built to do so;
    it becomes one mask.

    Args:
        text: Any string, lone surrogates included.
        secrets: Values that must not be in the result, as `own_secrets` gives them.
        extra: The user's patterns. Each match is masked whole. Their running time is their author's.
    """
    for _ in range(_ROUNDS):
        spans = _spans(text, secrets, extra)
        if not spans:
            return text
        masked = _masked(text, spans)
        if masked == text:
            return text
        text = masked
    return MASK


def cut(text: str, limit: int) -> str:
    """Returns the text in at most `limit` characters, an ellipsis in place of what is left out.

    Cut after `redact`, never before: half a key has no format to be known by.
    """
    if len(text) <= limit:
        return text
    return text[: limit - 1] + "…" if limit > 0 else ""


def _masked(text: str, spans: Iterable[_Span]) -> str:
    """Replaces each unbroken stretch by one mask; masks that are there take part, so that they stay whole."""
    parts: list[str] = []
    end = 0
    for start, stop in _merged([*spans, *(match.span() for match in _compiled(re.escape(MASK)).finditer(text))]):
        parts += (text[end:start], MASK)
        end = stop
    return "".join((*parts, text[end:]))


def _merged(spans: Iterable[_Span]) -> list[_Span]:
    """Joins spans that overlap or touch."""
    merged: list[_Span] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compiles a pattern when it is first needed: to compile all of them takes longer than an import may."""
    return re.compile(pattern)


# --- two readings of a text -------------------------------------------------------------------------------


def _spans(text: str, secrets: Sequence[str], extra: Sequence[re.Pattern[str]]) -> list[_Span]:
    """Finds what to mask, in the text as it stands and with its escapes undone."""
    spans = _found(text, secrets, extra)
    if "%" in text or "\\" in text:
        reading, starts = _unescaped(text)
        if len(reading) < len(text):
            spans += [(starts[start], starts[stop]) for start, stop in _found(reading, secrets, extra)]
    return spans


def _found(text: str, secrets: Sequence[str], extra: Sequence[re.Pattern[str]]) -> list[_Span]:
    """Finds what to mask in one reading."""
    spans = _own(text, secrets) if secrets else []
    lowered = _lowered(text)
    if _glance().search(text):
        spans += _known(text, text, _KEYS)
    spans += _known(text, lowered, _PHRASES)
    for needle, names in _NAMES:
        if needle in lowered:
            for name, kind in names:
                spans += _named(text, _compiled(name).finditer(lowered), kind)
    for pattern in extra:
        spans += [match.span() for match in pattern.finditer(text) if match[0]]
    return spans


def _lowered(text: str) -> str:
    """Lower-cases the text so that positions stay the same."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(char.lower() if char.isascii() else char for char in text)  # U+0130 grows when lower-cased


# Percent escapes (of percent escapes), and what JSON and Python put a backslash before, up to two levels
# deep. The bound keeps a long row of backslashes linear.
_ESCAPE: Final = r"""%(?:25)*([0-9A-Fa-f]{2})|\\{1,4}(?:u00([0-9A-Fa-f]{2})|(["'/\\nrt]))"""
_WHITESPACE: Final = {"n": "\n", "r": "\r", "t": "\t"}


def _unescaped(text: str) -> tuple[str, list[int]]:
    """Undoes escapes.

    Returns:
        The text without them, and for each of its characters (and its end) where that starts in the original.
        A byte above 127 becomes the Latin-1 character of its number, as `_plain_forms` expects.
    """
    parts: list[str] = []
    starts: list[int] = []
    end = 0
    for escape in _compiled(_ESCAPE).finditer(text):
        code = escape[1] or escape[2]
        parts += (
            text[end : escape.start()],
            chr(int(code, 16)) if code else _WHITESPACE.get(escape[3], escape[3]),
        )
        starts.extend(range(end, escape.start() + 1))
        end = escape.end()
    starts.extend(range(end, len(text) + 1))
    return "".join((*parts, text[end:])), starts


# --- the attempt's own credential -------------------------------------------------------------------------


class _Form(NamedTuple):
    """One of the ways in which a credential may stand in a text.

    Attributes:
        size: This many characters of it are a find.
        words: Every four bytes in a row. Wherever a find starts, it holds one of the text's `_words` whole; a
            text that shares none with this set is clean, and most are.
        pieces: Every `size` characters in a row.
    """

    size: int
    words: frozenset[int]
    pieces: frozenset[str]

    @classmethod
    def of(cls, size: int, texts: Iterable[str]) -> _Form:
        """Prepares the search for pieces of these texts."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        return cls(
            size,
            frozenset(word for data in encoded for shift in range(4) for word in _words(data[shift:])),
            frozenset(text[at : at + size] for text in texts for at in range(len(text) - size + 1)),
        )


@functools.lru_cache(maxsize=32)
def _forms(secret: str) -> tuple[frozenset[int], tuple[_Form, ...]]:
    """Returns all forms of a credential, and before them the words of all."""
    data = secret.encode("utf-8", "surrogatepass")
    forms = (
        _Form.of(_PIECE, _plain_forms(secret, data)),
        _Form.of(_BASE64_PIECE, _base64_forms(data)),
        _Form.of(_HEX_PIECE, _hex_forms(data)),
    )
    return frozenset[int]().union(*(form.words for form in forms)), forms


@functools.lru_cache(maxsize=32)
def _short_forms(secret: str) -> tuple[str, ...]:
    """Returns what a credential too short to be known by a piece of it must be found as, whole."""
    data = secret.encode("utf-8", "surrogatepass")
    return (*_plain_forms(secret, data), *_base64_forms(data), *_hex_forms(data))


def _plain_forms(secret: str, data: bytes) -> frozenset[str]:
    """Returns the credential as it is and as it reads with escapes undone, in characters and in bytes."""
    return frozenset((secret, _unescaped(secret)[0], data.decode("latin-1")))


def _base64_forms(data: bytes) -> frozenset[str]:
    """Returns the base64 characters that depend on `data` alone, wherever it starts within a longer input."""
    forms: list[str] = []
    for before in range(3):
        first = -(-8 * before // 6)
        last = 8 * (before + len(data)) // 6
        standard = base64.b64encode(bytes(before) + data)[first:last].decode("ascii")
        forms += (standard, standard.replace("+", "-").replace("/", "_"))
    return frozenset(forms)


def _hex_forms(data: bytes) -> frozenset[str]:
    """Returns the hexadecimal digits, small and capital."""
    return frozenset((data.hex(), data.hex().upper()))


def _words(data: bytes) -> list[int]:
    """Reads bytes four at a time, as numbers: the cheapest pieces of text to compare many of."""
    return memoryview(data)[: len(data) & ~3].cast("I").tolist()


def _own(text: str, secrets: Sequence[str]) -> list[_Span]:
    """Finds the given credentials, and pieces of them, in all their forms."""
    spans: list[_Span] = []
    words = _words(text.encode("utf-8", "surrogatepass"))
    for secret in secrets:
        if len(secret) >= _PIECE:
            known, forms = _forms(secret)
            if not known.isdisjoint(words):
                spans += _pieces(text, words, forms)
        elif len(secret) >= _SHORTEST:
            for form in _short_forms(secret):
                spans += (match.span() for match in re.finditer(re.escape(form), text))
    return spans


def _pieces(text: str, words: list[int], forms: Iterable[_Form]) -> list[_Span]:
    """Finds every place where a piece stands; together they cover each common run from end to end."""
    return [
        (at, at + size)
        for size, known, pieces in forms
        if not known.isdisjoint(words)
        for at in range(len(text) - size + 1)
        if text[at : at + size] in pieces
    ]


# --- known formats ----------------------------------------------------------------------------------------


def _always(_: str) -> bool:
    """Accepts a match on its pattern alone."""
    return True


class _Format(NamedTuple):
    """A kind of credential that is known by its looks.

    Attributes:
        needle: Without it in the text, the pattern cannot match.
        pattern: Its last group is masked, or all of the match if it has none. It must fail within a bounded
            number of characters: an unbounded part may only come where nothing that can fail comes after it.
        accept: Judges the text to be masked.
    """

    needle: str
    pattern: str
    accept: Callable[[str], bool] = _always


def _known(text: str, searched: str, formats: Iterable[_Format]) -> list[_Span]:
    """Finds credentials of the formats whose needle stands in `searched`."""
    return [
        match.span(match.lastindex or 0)
        for needle, pattern, accept in formats
        if needle in searched
        for match in _compiled(pattern).finditer(text)
        if accept(match[match.lastindex or 0])
    ]


def _key(start: str, rest: str) -> _Format:
    """Describes an API key.

    Args:
        start: The prefix that gives it away.
        rest: Pattern of what must follow. A key that its provider has partly hidden ("sk-proj-****abcd",
            "sk-...abcd") is shorter, and known by that instead.
    """
    hidden = r"[\w-]{0,40}(?:[*•]{2,}|\.{3,}(?=\w)|…(?=\w))"
    return _Format(start, rf"(?a)(?<![A-Za-z0-9]){re.escape(start)}(?:{hidden}|{rest})[\w*•…-]*")


# What stands where a value is missing, or goes on a sentence.
_NO_VALUE: Final = frozenset(
    """
    none null nil true false undefined empty missing invalid required expired unknown unset unauthorized
    revoked wrong not must is are was be has should cannot a an the and or for in of to from your token key
    secret password header value string str bytes object optional bearer basic digest auth authentication
    authorization credentials scheme realm aws4-hmac-sha256
    """.split()  # noqa: SIM905 - lines of words, not a column
)


def _is_no_word(value: str) -> bool:
    """Tells a value from a word that stands in its place."""
    return value.lower() not in _NO_VALUE


def _holds_password(value: str) -> bool:
    """Tells whether what follows the word "Basic" decodes to `user:password`, or it is a basic something."""
    decoded = _from_base64(value[:400])
    return b":" in decoded and all(byte >= 0x20 for byte in decoded)


def _from_base64(value: str) -> bytes:
    """Decodes base64 of either alphabet, leniently; b"" if that cannot be done."""
    standard = value.rstrip("=").replace("-", "+").replace("_", "/")
    whole = len(standard) - (len(standard) % 4 == 1)
    try:
        return base64.b64decode(standard[:whole] + "=" * (-whole % 4))
    except ValueError:
        return b""


# Something that no English word has: a digit, a capital within, asterisks, an ellipsis in front of more.
_RANDOM: Final = r"\d|[a-z][A-Z]|\*\*|\.{3}\w|…\w|[A-Za-z]{20}"

_PRIVATE_KEY: Final = r"[A-Z0-9 ]{0,40}PRIVATE KEY-----"
_ALNUM: Final = r"[A-Za-z0-9]"

_KEYS: Final = (
    # OpenAI, Anthropic, OpenRouter, Langfuse; and the bare prefix that a dozen providers share. A name such
    # as "sk-learn" has neither capitals nor digits.
    _key("sk-", r"(?:proj|svcacct|admin|ant|or|lf)-[\w-]{6}|(?=[a-z_-]{0,60}[A-Z0-9])[\w-]{16}"),
    _key("csk-", r"[a-z0-9]{20}"),  # Cerebras
    _key("sess-", rf"{_ALNUM}{{24}}"),
    *(_key(start, r"[\w-]{10}") for start in ("AIza", "AQ.", "GOCSPX-")),  # Google
    _Format("ya29.", r"(?a)ya29\.[\w-]{10,}(?:\.[\w-]+)*"),
    *(_key(start, r"[A-Z0-9]{12}") for start in ("AKIA", "ASIA", "ABIA", "ACCA")),  # AWS
    *(
        _Format(start, rf"{start}[A-Za-z0-9+/]{{20,}}={{0,2}}")
        for start in ("ABSK", "bedrock-api-key-")  # Bedrock, for long and for short
    ),
    _Format("JQQJ9", rf"{_ALNUM}{{52}}JQQJ9{_ALNUM}{{10,}}"),  # Azure
    *(
        # Hugging Face, Groq, xAI, Perplexity (whose older models are pplx-70b-online), Replicate, Fireworks
        _key(start, rf"{_ALNUM}{{20}}")
        for start in ("hf_", "gsk_", "xai-", "pplx-", "r8_", "fw_")
    ),
    _key("nvapi-", r"[\w-]{20}"),
    *(_key(start, rf"{_ALNUM}{{20}}") for start in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),  # GitHub
    _key("github_pat_", r"\w{20}"),
    _key("glpat-", r"[\w-]{16}"),
    *(_key(start, r"[\w-]{10}") for start in ("xoxa-", "xoxb-", "xoxe-", "xoxp-", "xoxr-", "xoxs-", "xapp-")),
    *(
        _key(start, rf"{_ALNUM}{{10}}")
        for start in ("sk_live_", "sk_test_", "rk_live_", "rk_test_")  # Stripe
    ),
    _key("npm_", rf"{_ALNUM}{{30}}"),
    _key("pypi-Ag", r"[\w-]{16}"),
    _Format("eyJ", r"(?a)(?<![A-Za-z0-9])eyJ[\w-]{16,}(?:\.[\w-]+){0,4}"),  # JWT
    _Format("@", r"""://([^\s/?#"'<>@:]*:[^\s/?#"'<>]+|[^\s/?#"'<>@:,]{16,})@"""),
    _Format("-----BEGIN", rf"(?s)-----BEGIN {_PRIVATE_KEY}.*?(?:-----END {_PRIVATE_KEY}|\Z)"),
)


@functools.cache
def _glance() -> re.Pattern[str]:
    """Returns one pattern that finds the needle of any key, quickly.

    Each needle has a character that is no small letter. Such are rare in prose, so this looks for them first,
    and only then at what stands before and after.
    """
    around: defaultdict[str, list[str]] = defaultdict(list)
    for needle in dict.fromkeys(key.needle for key in _KEYS):
        at = next(at for at, char in enumerate(needle) if not char.islower())
        before, anchor, after = needle[:at], re.escape(needle[at]), re.escape(needle[at + 1 :])
        around[anchor].append(f"(?<={re.escape(before)}{anchor}){after}")
    return re.compile("|".join(f"{anchor}(?:{'|'.join(rest)})" for anchor, rest in around.items()))


_HEADER: Final = r"(?i:[\w-]{0,60}(?:api-?key|authorization|cookie|credential|password|secret|signature|token))"

# Their needles are sought in the lower-cased text.
_PHRASES: Final = (
    _Format(
        "bearer",
        rf"""(?i:bearer)(?:\s{{1,3}}|\+)(?!\w{{1,20}}=\\{{0,4}}["'])(?=\S{{0,60}}?(?:{_RANDOM}))"""
        r"([\w.~+/=*•…-]{6,})",
    ),
    _Format("basic", r"(?i:basic)(?:\s{1,3}|\+)([A-Za-z0-9_+/-]{8,}={0,2})", _holds_password),
    _Format("cookie", r"""(?i:cookie)["']?\s{0,3}[:=]\s{0,3}b?["']?([^\s=;"']{1,60}=[^"'\r\n]+)"""),
    _Format(  # [('x-api-key', '...'), (b'authorization', b'Bearer ...')]
        "', ",
        rf"""\(b?'{_HEADER}', b?["'](?i:(?:bearer|basic)[ ])?([^"'\\\n]+(?:\\.[^"'\\\n]*)*)""",
        _is_no_word,
    ),
)


# --- values with a name -----------------------------------------------------------------------------------

_KINDS_OF_KEY: Final = """
    api access account auth encryption functions master private secret service shared signing subscription
    virtual
""".split()  # noqa: SIM905 - a line of words, not a column
_SIGN: Final = r"""["'`]?\s{0,3}(?P<sign>=>?|==|:=|:(?!//))\s{0,3}(?:\[\s{0,3}(?=b?["']))?"""


_Kind = Literal["sure", "usual", "vague"]


class _Name(NamedTuple):
    """What a value's name ends in.

    Attributes:
        pattern: A word, what it needs before it, and the sign between name and value; for lower-cased text.
            The word comes first, since a pattern that starts with plain characters is searched for fast.
        kind: Whether a value follows for sure; else whether the name is also used for other things.
    """

    pattern: str
    kind: _Kind

    @classmethod
    def of(cls, word: str, before: str = "", kind: _Kind = "usual") -> _Name:
        """Builds the pattern; `before` looks back from the end of the word."""
        return cls(word + before + _SIGN, kind)


# Behind a needle that one of the names needs in the lower-cased text.
_NAMES: Final = (
    (
        "key",
        (
            _Name.of(
                "key",
                f"(?:{'|'.join(f'(?<={kind}key)|(?<={kind}.key)' for kind in _KINDS_OF_KEY)})",
            ),
            # In a query. Elsewhere a bare "key" is as often that of a dictionary.
            _Name.of("key", "(?<=[?&]key)", "sure"),
            _Name.of("key provided", "", "sure"),  # "Incorrect API key provided: ..."
        ),
    ),
    ("token", (_Name.of("token", "", "vague"),)),
    ("secret", (_Name.of("secret"),)),
    ("pass", (_Name.of("password"), _Name.of("passwd"), _Name.of("passphrase"))),
    ("pwd", (_Name.of("pwd", "(?<![a-z]pwd)"),)),
    ("authoriz", (_Name.of("authorization", "", "vague"),)),
    ("sig", (_Name.of("signature", "", "vague"), _Name.of("sig", "(?<![a-z]sig)", "vague"))),
    ("credential", (_Name.of("credential", "", "vague"),)),
)

_VALUE: Final = r"""(?xi)
    b?" (?P<double> [^"\\\n]* (?: \\. [^"\\\n]* )* )
  | b?' (?P<single> [^'\\\n]* (?: \\. [^'\\\n]* )* )
  | (?P<bare> (?: (?:bearer|basic|token|apikey|api-key|digest|negotiate) [ ]{1,3} )? [^\s"'`&,;<>\\]+ )
"""
_SCHEMES: Final = r"(?i)(?:(?:bearer|basic|token|apikey|api-key|key|digest|negotiate)[ ]+)+"
_NUMBER: Final = r"[\d.,:+-]*"
_SENTENCE: Final = (
    r"(?i)\D*\b(?:is|are|was|be|must|should|can|cannot|not|required|invalid|missing|expired|provide|set)\b\D*"
)


def _named(text: str, names: Iterable[re.Match[str]], kind: _Kind) -> list[_Span]:
    """Finds values by the name before them, as in headers, JSON, queries, settings and representations."""
    spans: list[_Span] = []
    end = 0
    for name in names:
        value = _compiled(_VALUE).match(text, name.end()) if name.start() >= end else None
        if value is None:
            continue
        start, stop = _value_span(text, value)
        has_scheme = start > value.start(value.lastgroup or 0)
        in_prose = value.lastgroup == "bare" and name["sign"] == ":"
        if _is_value(text[start:stop], "sure" if has_scheme else kind, in_prose=in_prose):
            spans.append((start, stop))
            end = value.end()  # a row of names is one value; reading it again from each would not be linear
    return spans


def _value_span(text: str, value: re.Match[str]) -> _Span:
    """Leaves out the scheme ("Bearer ") before a value and the full stop after it."""
    start, stop = value.span(value.lastgroup or 0)
    scheme = _compiled(_SCHEMES).match(text, start, stop)
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
    if kind == "vague" and (len(value) < _PIECE or _compiled(_NUMBER).fullmatch(value)):
        return False
    if in_prose and kind != "sure":
        return _compiled(_RANDOM).search(value) is not None
    return " " not in value or not _compiled(_SENTENCE).fullmatch(value)


# --- the credentials of a request -------------------------------------------------------------------------

_CREDENTIAL_HEADER: Final = (
    r"(?i)authorization|-auth$|api[-_]?key|(?:access|auth|functions|subscription|virtual)[-_]key"
    r"|token(?!s)|secret|passw|credential|signature"
)
_CREDENTIAL_PARAMETER: Final = (
    r"(?i)^(?:key|sig|pwd|auth)$|api[-_]?key|(?:access|auth|functions|subscription)[-_]key"
    r"|token(?!s)|secret|passw|credential|signature"
)
_SCHEME_PARAMETER: Final = r"""(\w{1,60})=("[^"]*|[^",\s]+)"""
_SIGNED_SCHEME: Final = r"(?i)(?:aws4-|digest|oauth|hmac)\S*\s"
_BASIC: Final = r"(?i)basic\s+"


def own_secrets(headers: Iterable[tuple[str, str]], url: str = "") -> tuple[str, ...]:
    """Returns the credential values of one request, for `redact`.

    Args:
        headers: Names, in any case, and values.
        url: With its query; user info and credential parameters are taken from it.

    Returns:
        Each value once, in the order found. A scheme ("Bearer") is no part of its value. Of a signed request
        (SigV4) only the key id and the signature count, since the rest names regions and services; of "Basic"
        both the encoded pair and the password. Left out are values of fewer than four characters, short
        numbers, and words that stand where a value is missing ("none").
    """
    found = [*_header_secrets(headers), *_url_secrets(url)]
    return tuple(dict.fromkeys(value for value in found if _worth_hiding(value)))


def _worth_hiding(value: str) -> bool:
    """Leaves out what would eat ordinary words and numbers if it were hidden."""
    if len(value) < _PIECE and value.isdigit():
        return False
    return len(value) >= _SHORTEST and value.lower() not in {"none", "null", "true", "false", "undefined"}


def _header_secrets(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in headers:
        if name.lower() == "cookie":
            cookies = (cookie.partition("=")[2].strip(' "') for cookie in value.split(";"))
            yield from (cookie for cookie in cookies if len(cookie) >= _PIECE)
        elif _compiled(_CREDENTIAL_HEADER).search(name):
            yield from _credentials(value.strip())


def _credentials(value: str) -> Iterator[str]:
    """Reads a header value in the forms that Authorization has."""
    if basic := _compiled(_BASIC).match(value):
        pair = value[basic.end() :].strip()
        yield pair
        yield _from_base64(pair).decode("utf-8", "replace").partition(":")[2]
    elif _compiled(_SIGNED_SCHEME).match(value):
        for name, parameter in _compiled(_SCHEME_PARAMETER).findall(value):
            if _compiled(_CREDENTIAL_PARAMETER).search(name) or name.lower() == "response":
                yield parameter.strip('"').partition("/")[0] if "redential" in name else parameter.strip('"')
    else:
        scheme = _compiled(_SCHEMES).match(f"{value} ")  # a scheme with nothing after it is none the less no credential
        yield value[scheme.end() :].strip() if scheme else value


def _url_secrets(url: str) -> Iterator[str]:
    """Reads user info and query by hand: the standard library's parser raises for some strings."""
    authority = re.split(r"[/?#]", url.partition("//")[2], maxsplit=1)[0]
    user, _, password = authority.rpartition("@")[0].partition(":")
    yield unquote(password)
    if not password or len(user) >= 2 * _PIECE:  # a token in the user's place
        yield unquote(user)
    for parameter in url.partition("?")[2].partition("#")[0].split("&"):
        name, _, value = parameter.partition("=")
        if _compiled(_CREDENTIAL_PARAMETER).search(unquote(name)):
            value = unquote(value)
            yield value.partition("/")[0] if "redential" in name else value
