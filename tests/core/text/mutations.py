"""Keys in the formats of their providers, written in many ways, in what errors carry them: drawn from a seed, without end.

A mutation is a key, a way to write it, and a carrier around it. Of a key that the call was made with (`own`) no piece of
eight characters may be left, however it is written; of somebody else's, in a format that is known by its looks or beside
a word that names it, none where it is written as printing, quoting, sending and wrapping write it.

`python -m tests.core.text.mutations 1000000 [seed]` tries so many, and prints what was left.
"""

from __future__ import annotations

import base64
import codecs
import json
import random
import string
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from otel_failover._core.text.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE: Final = 8
ALNUM: Final = string.ascii_letters + string.digits
URL_SAFE: Final = ALNUM + "-_"
LOWER: Final = string.ascii_lowercase + string.digits
UPPER: Final = string.ascii_uppercase + string.digits
HEX: Final = "0123456789abcdef"

# --- keys -------------------------------------------------------------------------------------------------------------

FORMATS: Final[dict[str, tuple[tuple[str, str, int], ...]]] = {
    # prefix, alphabet, length; one after the other
    "openai": (("sk-" + "proj-", URL_SAFE, 74), ("T3Blbk" + "FJ", URL_SAFE, 74)),
    "openai service": (("sk-" + "svcacct-", URL_SAFE, 60),),
    "openai old": (("sk-", ALNUM, 48),),
    "anthropic": (("sk-" + "ant-api03-", URL_SAFE, 93), ("AA", "", 0)),
    "openrouter": (("sk-" + "or-v1-", HEX, 64),),
    "deepseek": (("sk-", LOWER, 32),),
    "gemini": (("AI" + "za", URL_SAFE, 35),),
    "google token": (("ya29" + ".", URL_SAFE, 80),),
    "aws id": (("AK" + "IA", UPPER, 16),),
    "bedrock": (("AB" + "SK", ALNUM, 92),),
    "azure": (("", ALNUM, 52), ("JQQJ9" + "9", ALNUM, 26)),
    "github": (("gh" + "p_", ALNUM, 36),),
    "github fine": (("github_" + "pat_", ALNUM, 22), ("_", ALNUM, 59)),
    "gitlab": (("glp" + "at-", URL_SAFE, 20),),
    "slack": (("xox" + "b-", string.digits, 12), ("-", string.digits, 12), ("-", ALNUM, 24)),
    "stripe": (("sk_" + "live_", ALNUM, 24),),
    "hugging face": (("h" + "f_", ALNUM, 34),),
    "groq": (("g" + "sk_", ALNUM, 52),),
    "xai": (("x" + "ai-", ALNUM, 80),),
    "perplexity": (("pp" + "lx-", ALNUM, 48),),
    "replicate": (("r" + "8_", ALNUM, 37),),
    "nvidia": (("nv" + "api-", URL_SAFE, 64),),
    "cerebras": (("cs" + "k-", LOWER, 48),),
    "jwt": (("ey" + "J", URL_SAFE, 33), (".ey" + "J", URL_SAFE, 80), (".", URL_SAFE, 43)),
}
NAMELESS: Final[dict[str, tuple[tuple[str, str, int], ...]]] = {
    "mistral": (("", ALNUM, 32),),
    "cohere": (("", ALNUM, 40),),
    "together": (("", HEX, 64),),
    "aws secret": (("", ALNUM + "+/", 40),),
    "azure old": (("", HEX, 32),),
}
"""Formats that only a name beside them gives away."""


@dataclass(frozen=True)
class Key:
    """A key.

    Attributes:
        kind: Whose format it has.
        text: The key.
        fixed: Characters at its start that all keys of the kind have.
        is_known: By its looks.
    """

    kind: str
    text: str
    fixed: int
    is_known: bool

    def pieces(self) -> frozenset[str]:
        """Every eight characters in a row that are no part of what all keys of its kind have."""
        places = range(min(self.fixed, len(self.text) - PIECE), len(self.text) - PIECE + 1)
        return frozenset(self.text[at : at + PIECE] for at in places)


def key(choose: random.Random) -> Key:
    """Draw a key."""
    kind = choose.choice([*FORMATS, *NAMELESS])
    parts = FORMATS.get(kind) or NAMELESS[kind]
    while True:
        text = "".join(
            prefix + "".join(choose.choices(alphabet, k=size) if size else "") for prefix, alphabet, size in parts
        )
        body = text[len(parts[0][0]) :]
        # Nobody issues one that is a word: each has small and capital letters or digits in its first twenty signs.
        if sum(each.isdigit() for each in body[:20]) >= 2 and sum(each.isalpha() for each in body[:20]) >= 2:
            return Key(kind, text, len(parts[0][0]), kind in FORMATS)


# --- ways to write it -------------------------------------------------------------------------------------------------

Write = "Callable[[str, random.Random], str]"


def _wrapped(text: str, choose: random.Random) -> str:
    width = choose.randint(max(12, len(text) // 4), max(13, len(text) - 6))
    between = choose.choice(["\n", "\r\n", "\n    ", "\\n", " \n\t", '"\n    "'])
    return between.join(text[at : at + width] for at in range(0, len(text), width))


def _each(form: str) -> Callable[[str, random.Random], str]:
    return lambda text, _: "".join(form.format(ord(char)) for char in text)


def _some(form: str) -> Callable[[str, random.Random], str]:
    """Write about a third of the characters in another form."""
    return lambda text, choose: "".join(form.format(ord(c)) if choose.random() < 0.3 else c for c in text)


WRITTEN: Final[dict[str, Callable[[str, random.Random], str]]] = {
    "as it is": lambda text, _: text,
    "percent": _each("%{:02X}"),
    "percent in part": _some("%{:02x}"),
    "percent twice": _each("%25{:02X}"),
    "quoted": lambda text, _: quote(text, safe=""),
    "json": lambda text, _: json.dumps(json.dumps(text))[3:-3],
    "unicode escapes": _each("\\u{:04x}"),
    "unicode escapes in part": _some("\\u{:04X}"),
    "escaped escapes": _each("\\\\u{:04x}"),
    "bytes' escapes": _each("\\x{:02x}"),
    "entities": _each("&#{};"),
    "entities in part": _some("&#x{:x};"),
    "entities of entities": _each("&amp;#{};"),
    "wrapped": _wrapped,
    "zero width": lambda text, choose: choose.choice("\u200b\u200d\u2060\ufeff\u00ad").join(text),
    "base64": lambda text, _: base64.b64encode(text.encode()).decode(),
    "base64 of more": lambda text, _: base64.b64encode(json.dumps({"api_key": text}).encode()).decode(),
    "base64url": lambda text, _: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hex": lambda text, _: text.encode().hex(),
    "hex in capitals": lambda text, _: text.encode().hex().upper(),
}
"""What printing, quoting, sending and wrapping do to a text: of any key nothing is left."""

OWN_ONLY: Final[dict[str, Callable[[str, random.Random], str]]] = {
    "spaced": lambda text, _: " ".join(text),
    "dotted": lambda text, choose: choose.choice([".", "-", "_", " - ", "\n", ", "]).join(text),
    "backwards": lambda text, _: text[::-1],
    "capitals": lambda text, _: text.upper(),
    "the other case": lambda text, _: text.swapcase(),
    "hex with signs": lambda text, choose: text.encode().hex(choose.choice(":- ")),
    "hex numbers": lambda text, _: ", ".join(hex(ord(char)) for char in text),
    "numbers": lambda text, _: str(list(text.encode())),
    "octal": _each("\\{:03o}"),
    "base64 twice": lambda text, _: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 in lines": lambda text, _: base64.encodebytes((text * 2).encode()).decode(),
    "base64 of UTF-16": lambda text, _: base64.b64encode(text.encode("utf-16-le")).decode(),
    "base32": lambda text, _: base64.b32encode(text.encode()).decode(),
    "rot13": lambda text, _: codecs.encode(text, "rot13"),
    "quoted-printable": _each("={:02X}"),
    "fullwidth": lambda text, _: "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in text),
    "coloured": lambda text, _: "\x1b[31m".join(text[at : at + 5] for at in range(0, len(text), 5)),
    "a piece": lambda text, choose: text[(at := choose.randint(0, len(text) - PIECE)) : at + choose.randint(PIECE, 40)],
}
"""What somebody does to hide a key: of the call's own nothing is left all the same."""


def readings(text: str, written: str) -> Iterator[str]:
    """Yield what can be read in a text by undoing one way of writing; the text itself first."""
    yield text
    undo = UNDONE.get(written)
    if undo is not None:
        yield undo(text)


def _printed(data: bytes) -> str:
    return data.decode("latin-1")


def _unwrapped(text: str) -> str:
    return "".join(char for char in text.replace("\\n", "").replace("\x1b[31m", "") if char in KEY_SIGNS)


KEY_SIGNS: Final = frozenset(URL_SAFE + "+/=")
UNDONE: Final[dict[str, Callable[[str], str]]] = {
    "wrapped": _unwrapped,
    "zero width": _unwrapped,
    "coloured": _unwrapped,
    "spaced": lambda text: text.replace(" ", ""),
    "backwards": lambda text: text[::-1],
    "the other case": str.swapcase,
    "rot13": lambda text: codecs.encode(text, "rot13"),
}
"""What shows a key that is left where no row of it stands in the text; elsewhere the written form itself is looked for."""


# --- carriers ---------------------------------------------------------------------------------------------------------

Carry = "Callable[[str], str]"

NAMED: Final[dict[str, Callable[[str], str]]] = {
    "header": lambda k: f"POST /v1/messages HTTP/1.1\r\nhost: api.example\r\nx-api-key: {k}\r\naccept: */*",
    "bearer": lambda k: f"{{'authorization': 'Bearer {k}', 'accept': '*/*'}}",
    "json": lambda k: f'{{"model": "gpt-4o", "api_key": "{k}"}}',
    "repr": lambda k: f"OpenAI(base_url='https://a.example', api_key='{k}', timeout=5)",
    "query": lambda k: f"GET https://gw.example/v1/models?api_key={k}&alt=sse failed",
    "said": lambda k: f"Incorrect API key provided: {k}",
    "traceback": lambda k: f'  File "/app/llm.py", line 12, in ask\n    client = OpenAI(api_key="{k}")\nValueError: no',
}
BARE: Final[dict[str, Callable[[str], str]]] = {
    "message": lambda k: f"Request of {k} was refused for model gpt-4o",
    "path": lambda k: f"404 for https://gw.example/v1/{k}/chat",
    "item": lambda k: f'{{"seen": ["gpt-4o", "{k}"]}}',
    "alone": lambda k: k,
    "tokens": lambda k: f"https://gw.example/v1/tokens/{k}/usage",
    "keys": lambda k: f"https://gw.example/api/keys/{k}",
    "secrets": lambda k: f"GET /secrets/{k} HTTP/1.1",
    "user info": lambda k: f"cannot connect to https://svc:{k}@proxy.example:3128/v1",
    "cookie": lambda k: f"Cookie: theme=dark; session={k}\r\nHost: a.example",
}
_ENDS_AT: Final = frozenset({"quoted", "as it is", "json"})
"""Ways to write that leave a key one word, so that a URL or a cookie can hold it."""
_URLS: Final = frozenset({"query", "path", "tokens", "keys", "secrets", "user info", "cookie"})


@dataclass(frozen=True)
class Mutation:
    """One text with a key in it."""

    key: Key
    written: str
    carrier: str
    form: str
    text: str
    is_own: bool

    def left_in(self, text: str) -> str | None:
        """Return what the text gives away of the key: a piece of it, or of the form that it was written in."""
        for reading in readings(text, self.written):
            for piece in self.key.pieces():
                if piece in reading:
                    return piece
        return self.form if len(self.form) >= PIECE and self.form in text else None


def mutation(choose: random.Random, *, own: bool) -> Mutation:
    """Draw one."""
    drawn = key(choose)
    ways = {**WRITTEN, **OWN_ONLY} if own else WRITTEN
    carriers = {**NAMED, **BARE} if own or drawn.is_known else NAMED
    carrier = choose.choice([*carriers])
    written = choose.choice([way for way in ways if carrier not in _URLS or own or way in _ENDS_AT])
    form = ways[written](drawn.text, choose)
    return Mutation(drawn, written, carrier, form, carriers[carrier](form), own)


def tried(count: int, seed: int | str, *, own: bool) -> list[tuple[Mutation, str, str]]:
    """Return the mutations that something was left of, what remained of their texts, and what it gave away."""
    choose = random.Random(seed)
    leaks = []
    for _ in range(count):
        each = mutation(choose, own=own)
        left = redact(each.text, (each.key.text,) if own else ())
        found = each.left_in(left)
        if found is not None:
            leaks.append((each, left, found))
    return leaks


def main() -> int:
    """Try a number of mutations, half of them with the call's own key, and print what was left of which."""
    count = int(sys.argv[1]) if sys.argv[1:] else 10_000
    seed = sys.argv[2] if sys.argv[2:] else str(time.time_ns())
    failed = False
    for own, most in ((True, 0.0), (False, 0.005)):
        leaks = tried(count // 2, seed, own=own)
        share = len(leaks) / (count // 2)
        failed |= share > most
        said = f"{'own' if own else 'foreign'} keys, seed {seed}: {count // 2} tried, {len(leaks)} left ({share:.4%})\n"
        kinds = Counter((each.written, each.carrier, each.key.kind) for each, _, _ in leaks).most_common(20)
        sys.stdout.write(said + "".join(f"  {times} {' / '.join(kind)}\n" for kind, times in kinds))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
