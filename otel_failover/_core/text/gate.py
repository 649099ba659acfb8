"""The one gate: whatever comes from outside passes it before it stands on a span, in an event, a log or a summary.

From outside is what a provider, a library or the host has said or named: sentences, codes, ids, models, labels,
classes, settings. Ours are the words of our own vocabulary, numbers, and the ids that OpenTelemetry and we draw. What
passes is `Clean`, a kind of text that only this module makes.

Besides the rules of `redaction`, the gate knows the credentials that this process has sent lately: a key that one
candidate was asked with may be said by another, by the loop, or stand in a label. They are held in memory, never
written.

Nearly everything that passes has passed before (labels, classes, codes), and is found again at the price of a look-up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NewType

from otel_failover._core.failsafe import exportable, tell_through
from otel_failover._core.text.escapes import compiled
from otel_failover._core.text.own_credentials import is_telling, words_in, words_of
from otel_failover._core.text.redaction import cut, redact

if TYPE_CHECKING:
    import re

__all__ = ["LONG", "SHORT", "Clean", "clean", "forget", "issued", "known", "learn", "named", "shown", "use", "word"]

if TYPE_CHECKING:
    Clean = NewType("Clean", str)
    """A text that has passed the gate."""
else:
    Clean = str  # calls no code of Python's

LONG: Final = 2_048
"""Characters of a sentence."""
SHORT: Final = 255
"""Characters of anything else."""

_MOST: Final = 32
_ALL: Final = 4
"""So many times the characters that will be left are looked at: masks are shorter than what they replace."""

known: Final[dict[str, None]] = {}
"""Credentials that this process has sent lately, at most 32."""
_words: Final[list[frozenset[int]]] = [frozenset()]
_patterns: Final[list[tuple[re.Pattern[str], ...]]] = [()]


@lru_cache(maxsize=_MOST)
def learn(secrets: tuple[str, ...]) -> None:
    """Remember credentials that were sent, so that they are known wherever they come back.

    Only such as look like one: a word that stands in a key's place (`ollama`, `test`) is in every other sentence. The
    same few come with every request, and are looked at once.

    Args:
        secrets: As `own_secrets` gives them.
    """
    new = [secret for secret in secrets if secret not in known and is_telling(secret)]
    if new:
        known.update(dict.fromkeys(new))
        while len(known) > _MOST:
            known.pop(next(iter(known)), None)
            learn.cache_clear()
        # What was clean before may hold one of them.
        _let_go()


def use(patterns: tuple[re.Pattern[str], ...]) -> None:
    """Put the user's patterns in force for what is cleaned without any given.

    Args:
        patterns: Of the setting `redact`.
    """
    _patterns[0] = patterns
    _let_go()


def forget() -> None:
    """Let go of all credentials, and of what was cleaned by them."""
    known.clear()
    learn.cache_clear()
    _let_go()


def _let_go() -> None:
    _words[0] = words_of(tuple(known))
    clean.cache_clear()
    shown.cache_clear()
    named.cache_clear()
    word.cache_clear()


@lru_cache(maxsize=128)
def clean(
    text: str,
    secrets: tuple[str, ...] = (),
    limit: int = LONG,
    patterns: tuple[re.Pattern[str], ...] | None = None,
    random: bool = True,
) -> Clean:
    """Return a foreign text without credentials, cut to a length, such that UTF-8 can carry it.

    Args:
        text: Of a provider, a library, the host.
        secrets: Credentials of the request that it belongs to, beside those that are known anyway.
        limit: Characters that are left.
        patterns: The user's; None for those in force.
        random: What only looks random is a credential; not in an id, which is meant to.
    """
    extra = _patterns[0] if patterns is None else patterns
    found = redact(text[: _ALL * limit], secrets, extra=extra, known=tuple(known), random=random)
    return Clean(exportable(cut(found, limit)))


@lru_cache(maxsize=512)
def shown(label: str) -> Clean:
    """Return a label of the host's or a library's (a model, a class, a host's name) as it is exported: short and clean.

    Args:
        label: The same few come again and again.
    """
    return Clean(exportable(redact(label[: _ALL * SHORT], extra=_patterns[0], known=tuple(known))[:SHORT]))


tell_through(clean)


# --- a provider's codes and ids ---------------------------------------------------------------------------------------

_WORDS: Final = r"(?a)[a-z]{1,24}(?:[_-][a-z]{1,24}){0,5}"
"""Codes that are no credential: `insufficient_quota`, words without a digit."""
_ISSUED: Final = (
    r"(?a)(?:req|msg|resp|chatcmpl|gen|cmpl)[_-][0-9A-Za-z]{8,60}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
"""Ids as the providers issue them, of requests and of answers."""


@lru_cache(maxsize=256)
def word(code: str, secrets: tuple[str, ...]) -> Clean:
    """Return a provider's code.

    Args:
        code: As it was said; hardly ever anything but a word.
        secrets: Credentials of its request.
    """
    if compiled(_WORDS).fullmatch(code) is None:
        return clean(code, secrets, SHORT)
    words = words_in(code)
    is_plain = _words[0].isdisjoint(words) and words_of(secrets).isdisjoint(words)
    return Clean(code) if is_plain else clean(code, secrets, SHORT)


def issued(number: str, secrets: tuple[str, ...]) -> Clean:
    """Return an id that a provider has issued: what looks random is meant to, and people ask by it.

    Args:
        number: The id.
        secrets: Credentials of its request.
    """
    if compiled(_ISSUED).fullmatch(number) is not None:
        words = words_in(number)
        if _words[0].isdisjoint(words) and words_of(secrets).isdisjoint(words):
            return Clean(number)
    return clean(number, secrets, SHORT, None, False)


@lru_cache(maxsize=256)
def named(host: str) -> Clean:
    """Return the name of a provider or a host as it is exported: the names of machines look random.

    Args:
        host: Its name, or its address with scheme and port.
    """
    return clean(host, (), SHORT, None, False)
