"""The top of a JSON document that is too long to be parsed: its first and its last 16 KB are looked through.

To parse 10 MB stalls an event loop for some 20 ms. A key is told from a text that looks like one by its quotes, which
JSON escapes inside a text, and from one further down by the braces between it and the document's start or end.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.text.escapes import compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

_WINDOW: Final = 16_384
_TOKEN: Final = r'"(?:[^"\\]+|\\.)*"?|[{}\[\]]'  # noqa: S105 - of JSON, no secret; a text may end with the window
_KEY: Final = r'(?<=[{,\s])"\w{1,64}"\s*:'
_VALUE: Final = r'\s*:\s*("(?:[^"\\]|\\.)*"|true|false|null|-?\d[\d.eE+-]*|[{\[])'


def top_of(content: bytes) -> dict[str, Any]:
    """Return the keys at the top of a JSON object, as far as they stand near its ends, with their values.

    Args:
        content: The object. For a list or an object inside, the value is True.
    """
    head = content[:_WINDOW].decode("utf-8", "replace")
    tail = content[-_WINDOW:].decode("utf-8", "replace")
    start = len(head) - len(head.lstrip())
    found = dict(_at(head[start:], 1)) if head[start : start + 1] == "{" else {}
    begins = compiled(_KEY).search(tail)
    if begins is not None and tail.rstrip()[-1:] == "}":
        rest = tail[begins.start() :]
        found.update(_at(rest, _depth_at_end(rest) + 1))
    return found


def _depth_at_end(text: str) -> int:
    """Return how much deeper a text ends than it begins: the document itself ends at 0."""
    tokens = compiled(_TOKEN).findall(text)
    return sum(each in ("{", "[") for each in tokens) - sum(each in ("}", "]") for each in tokens)


def _at(text: str, wanted: int) -> Iterator[tuple[str, Any]]:
    """Yield the keys at a depth, counted from the text's start, and their values."""
    depth, value = 0, compiled(_VALUE)
    for token in compiled(_TOKEN).finditer(text):
        sign = token[0]
        if sign in ("{", "["):
            depth += 1
        elif sign in ("}", "]"):
            depth -= 1
        elif depth == wanted and (found := value.match(text, token.end())) is not None:
            yield sign[1:-1], _decoded(found[1])


def _decoded(value: str) -> Any:
    if value in ("{", "["):
        return True
    try:
        return json.loads(value)
    except ValueError:
        return None
