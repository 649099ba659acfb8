"""The credentials of one request: which they are, and where they stand in a text, however they are written there.

A credential is found whole, or any piece of eight characters or more of it: plain or in another case, percent-encoded,
in base64, base64url or hex, backwards, and with anything between its characters. This holds for keys of any format, and
does not depend on how the text speaks of them.
"""

from __future__ import annotations

import base64
import codecs
import functools
import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

from otel_failover._core.text.escapes import Span, compiled, from_base64, lowered, unescaped
from otel_failover._core.text.readings import folded, places_of_letters, squeezed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["SCHEMES", "is_telling", "own_secrets", "own_spans", "words_in", "words_of"]

_PIECE: Final = 8  # characters of a credential that must not be readable in a row
_BASE64_PIECE: Final = 10  # base64 characters that eight bytes fix, at the worst alignment
_HEX_PIECE: Final = 16
_SHORTEST: Final = 4  # below this a value says nothing, and masking it would eat words

SCHEMES: Final = r"(?i)(?:(?:bearer|basic|token|apikey|api-key|key|digest|negotiate)[ ]+)+"


# --- out of a request -------------------------------------------------------------------------------------------------

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
    """Return the credential values of one request, for `redact`.

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


_PLACEHOLDERS: Final = frozenset(
    """
    none null true false undefined empty dummy fake test testing tests example sample placeholder unused unset local
    localhost ollama vllm llama lm-studio lmstudio lm_studio litellm openai anthropic azure gemini nokey no-key no_key
    not-needed not_needed notneeded not-used no-key-required no_key_required sk-no-key-required sk-dummy sk-fake
    sk-test sk-xxx anything anonymous default guest user users your-api-key your_api_key api-key api_key apikey
    changeme change-me change_me token bearer
    """.split()  # noqa: SIM905 - lines of words, not a column
)
"""What stands in a key's place where none is needed: hidden, every other sentence would lose a word."""


def _worth_hiding(value: str) -> bool:
    """Leave out what would eat ordinary words and numbers if it were hidden."""
    if len(value) < _PIECE and value.isdigit():
        return False
    return len(value) >= _SHORTEST and value.lower() not in _PLACEHOLDERS


def _header_secrets(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in headers:
        if name.lower() == "cookie":
            cookies = (cookie.partition("=")[2].strip(' "') for cookie in value.split(";"))
            yield from (cookie for cookie in cookies if len(cookie) >= _PIECE)
        elif compiled(_CREDENTIAL_HEADER).search(name):
            yield from _credentials(value.strip())


def _credentials(value: str) -> Iterator[str]:
    """Read a header value in the forms that Authorization has."""
    if basic := compiled(_BASIC).match(value):
        pair = value[basic.end() :].strip()
        yield pair
        yield from_base64(pair).decode("utf-8", "replace").partition(":")[2]
    elif compiled(_SIGNED_SCHEME).match(value):
        for name, parameter in compiled(_SCHEME_PARAMETER).findall(value):
            if compiled(_CREDENTIAL_PARAMETER).search(name) or name.lower() == "response":
                yield parameter.strip('"').partition("/")[0] if "redential" in name else parameter.strip('"')
    else:
        scheme = compiled(SCHEMES).match(f"{value} ")  # a scheme with nothing after it is none the less no credential
        yield value[scheme.end() :].strip() if scheme else value


_HOST: Final = r"(?a)[\w.-]*(?::\d{0,5})?|\[[^\]]*\](?::\d{0,5})?"


def _url_secrets(url: str) -> Iterator[str]:
    """Read user info and query by hand: the standard library's parser raises for some strings."""
    behind = url.partition("//")[2]
    authority = re.split(r"[/?#]", behind, maxsplit=1)[0]
    if "@" not in authority and compiled(_HOST).fullmatch(authority) is None:
        authority = behind  # a password with a slash in it, which a URL may not have, and people's have
    user, _, password = authority.rpartition("@")[0].partition(":")
    yield unquote(password)
    if not password or len(user) >= 2 * _PIECE:  # a token in the user's place
        yield unquote(user)
    for parameter in url.partition("?")[2].partition("#")[0].split("&"):
        name, _, value = parameter.partition("=")
        if compiled(_CREDENTIAL_PARAMETER).search(unquote(name)):
            value = unquote(value)
            yield value.partition("/")[0] if "redential" in name else value


# --- in a text --------------------------------------------------------------------------------------------------------


class _Form(NamedTuple):
    """One of the ways in which a credential may stand in a text.

    Attributes:
        size: This many characters of it are a find.
        cased: Capitals count. In base64 they do; else a key in the wrong case is as good as the key.
        words: Every four bytes in a row, in small letters. Wherever a find starts, it holds one of the text's `_words`
            whole; a text that shares none with this set is clean, and most are.
        pieces: Every `size` characters in a row.
    """

    size: int
    cased: bool
    words: frozenset[int]
    pieces: frozenset[str]

    @classmethod
    def of(cls, size: int, texts: Iterable[str], *, cased: bool = False) -> _Form:
        """Prepare the search for pieces of these texts."""
        texts = tuple(texts)
        small = [lowered(text) for text in texts]
        encoded = [text.encode("utf-8", "surrogatepass") for text in small]
        return cls(
            size,
            cased,
            frozenset(word for data in encoded for shift in range(4) for word in _words(data[shift:])),
            frozenset(
                text[at : at + size] for text in (texts if cased else small) for at in range(len(text) - size + 1)
            ),
        )


@functools.lru_cache(maxsize=64)
def _forms(secret: str) -> tuple[frozenset[int], tuple[_Form, ...]]:
    """Return all forms of a credential, and before them the words of all."""
    data = secret.encode("utf-8", "surrogatepass")
    plain = _plain_forms(secret, data)
    if is_telling(secret):
        # What is no row of words is known backwards, too, and without the signs in it.
        plain |= {squeezed(folded(each)) for each in plain}
        plain |= {each[::-1] for each in plain} | {codecs.encode(secret, "rot13")}
    base64s = _base64_forms(data)
    forms = (
        _Form.of(_PIECE, (each for each in plain if len(each) >= _PIECE)),
        _Form.of(_BASE64_PIECE, base64s | {squeezed(each) for each in base64s}, cased=True),
        _Form.of(_HEX_PIECE, _hex_forms(data)),
    )
    return frozenset[int]().union(*(form.words for form in forms)), forms


@functools.lru_cache(maxsize=32)
def _short_forms(secret: str) -> tuple[str, ...]:
    """Return what a credential too short to be known by a piece of it must be found as, whole."""
    data = secret.encode("utf-8", "surrogatepass")
    return (*_plain_forms(secret, data), *_base64_forms(data), *_hex_forms(data))


def _plain_forms(secret: str, data: bytes) -> frozenset[str]:
    """Return the credential as it is and as it reads with escapes undone, in characters and in bytes."""
    return frozenset((secret, unescaped(secret)[0], data.decode("latin-1")))


def _base64_forms(data: bytes) -> frozenset[str]:
    """Return the base64 characters that depend on `data` alone, wherever it starts within a longer input."""
    forms: list[str] = []
    for before in range(3):
        first = -(-8 * before // 6)
        last = 8 * (before + len(data)) // 6
        standard = base64.b64encode(bytes(before) + data)[first:last].decode("ascii")
        forms += (standard, standard.replace("+", "-").replace("/", "_"))
    return frozenset(forms)


def _hex_forms(data: bytes) -> frozenset[str]:
    """Return the hexadecimal digits, small and capital."""
    return frozenset((data.hex(), data.hex().upper()))


def _words(data: bytes) -> list[int]:
    """Read bytes four at a time, as numbers: the cheapest pieces of text to compare many of."""
    return memoryview(data)[: len(data) & ~3].cast("I").tolist()


def is_telling(secret: str) -> bool:
    """Whether a credential is known by a piece of it wherever that stands: it is long, and no row of words.

    Args:
        secret: A credential.
    """
    if len(secret) < _TELLING:
        return False
    turns = len(compiled(_TURN).findall(secret))
    return (
        turns >= (_TURNS if len(secret) < 2 * _TELLING else _TURNS - 1) or compiled(_MIXED).search(secret) is not None
    )


_TELLING: Final = 12
_TURN: Final = r"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])|[a-z](?=[A-Z])"
_TURNS: Final = 4
"""So many times letters turn to digits and back, or small letters to capitals: names of models seldom have them."""
_MIXED: Final = r"(?a)\b(?=[A-Za-z_]*[0-9])(?=[0-9_]*[A-Za-z])\w{12,}"
"""Letters and digits in one piece, as long as no word with a number is: an AWS key id turns but once or twice."""


@functools.lru_cache(maxsize=32)
def words_of(secrets: tuple[str, ...]) -> frozenset[int]:
    """Return the words of some credentials in all their forms: a text that has none of them holds no piece of one.

    Args:
        secrets: Credentials; of those shorter than a piece nothing is known by words.
    """
    return frozenset[int]().union(*(_forms(secret)[0] for secret in secrets if len(secret) >= _PIECE))


def words_in(text: str) -> list[int]:
    """Return the words of a text, to be held against `words_of`; of less than two words there are none to speak of.

    Args:
        text: Any text.
    """
    return _words(text.lower().encode("utf-8", "surrogatepass")) if len(text) >= _PIECE else []


def own_spans(text: str, small: str, secrets: Sequence[str]) -> list[Span]:
    """Find the given credentials, and pieces of them, in all their forms.

    Args:
        text: To look in.
        small: The same, `lowered`.
        secrets: As `own_secrets` gives them.
    """
    spans: list[Span] = []
    known = words_of(tuple(secrets))
    if known:
        if not known.isdisjoint(_words(small.encode("utf-8", "surrogatepass"))):
            spans += _spans_of(text, small, secrets)
        plainest = folded(text)
        letters = squeezed(plainest)
        if len(letters) < len(text) or plainest is not text:
            small_letters = lowered(letters)
            if not known.isdisjoint(_words(small_letters.encode("utf-8", "surrogatepass"))):
                places = places_of_letters(plainest)
                found = _spans_of(letters, small_letters, [each for each in secrets if is_telling(each)])
                spans += ((places[start], places[stop - 1] + 1) for start, stop in found)
    for secret in secrets:
        if _SHORTEST <= len(secret) < _PIECE:
            for written in _short_forms(secret):
                spans += (match.span() for match in re.finditer(re.escape(written), text))
    return spans


def _spans_of(text: str, small: str, secrets: Iterable[str]) -> list[Span]:
    """Find pieces of credentials of eight characters or more in one reading."""
    words = _words(small.encode("utf-8", "surrogatepass"))
    spans: list[Span] = []
    for secret in secrets:
        if len(secret) >= _PIECE:
            known, forms = _forms(secret)
            if not known.isdisjoint(words):
                for form in forms:
                    if not form.words.isdisjoint(words):
                        spans += _pieces(text if form.cased else small, form)
    return spans


def _pieces(text: str, form: _Form) -> list[Span]:
    """Find every place where a piece stands; together they cover each common run from end to end."""
    size, pieces = form.size, form.pieces
    return [(at, at + size) for at in range(len(text) - size + 1) if text[at : at + size] in pieces]
