"""Looks for the keys that tests plant, in whatever leaves the process and however it is spelled."""

from __future__ import annotations

import base64
import functools
import logging
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.spans import Telemetry

_HOLDER = "tests.support.hosts"  # the module with the table of keys, where a test has imported it
_PIECE = 8


def keys() -> frozenset[str]:
    """Return the keys that tests ask with, where one has imported them."""
    holder = sys.modules.get(_HOLDER)
    return frozenset(holder.KEYS.values()) if holder is not None else frozenset()


@functools.cache
def spellings(key: str) -> dict[str, tuple[int, tuple[bytes, ...]]]:
    """Return how a key may be spelled: by name, how many bytes in a row give eight characters away, and the texts."""
    data = key.encode()
    every = "".join(f"%{byte:02x}" for byte in data)
    aligned = [base64.b64encode(bytes(before) + data)[-(-8 * before // 6) : 8 * (before + len(data)) // 6]
               for before in range(3)]  # fmt: skip
    return {
        "plain": (_PIECE, (data, data.lower(), data.upper(), data[::-1])),
        "percent": (_PIECE, (quote(key, safe="").encode(),)),
        "percent everywhere": (3 * _PIECE, (every.encode(), every.upper().encode())),
        "base64": (12, (*aligned, *(each.translate(bytes.maketrans(b"+/", b"-_")) for each in aligned))),
        "hex": (2 * _PIECE, (data.hex().encode(), data.hex().upper().encode())),
    }


def left_of(key: str, out: bytes) -> str | None:
    """Return the spelling in which a piece of the key stands in some bytes, with the piece.

    Every piece holds one of the blocks of half its size that the spelling is made of: they are looked for first.
    """
    for name, (size, texts) in spellings(key).items():
        half = size // 2
        for text in texts:
            if any(text[at : at + half] in out for at in range(0, len(text) - half + 1, half)):
                for at in range(len(text) - size + 1):
                    if text[at : at + size] in out:
                        return f"{name}: {text[at : at + size].decode()}"
    return None


class Lines(logging.Handler):
    """Keeps what is logged, as text with its traceback, together with all that a record carries."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter())
        self.written: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(f"{self.format(record)} {record.__dict__}")


def leaving(telemetry: Telemetry, lines: Iterable[str]) -> Iterable[tuple[str, bytes]]:
    """Yield all that leaves the process, and what it is: spans as they were serialised, metrics and log lines."""
    for span in telemetry.spans:
        if span.span_id not in telemetry.disclosed:
            yield f"span {span.name}", span.raw
    data = telemetry.reader.get_metrics_data()
    yield "metrics", repr(data).encode()  # quicker than JSON by far, and all of it
    for line in lines:
        yield "log", line.encode("utf-8", "replace")


def check(telemetry: Telemetry, lines: Iterable[str]) -> None:
    """Fail where a planted key leaves the process."""
    planted, out = keys() | telemetry.planted, list(leaving(telemetry, lines))
    together = b"\0".join(text for _, text in out)  # looked through once: nearly always, nothing is there
    leaks = [
        f"{what}: {left}"
        for key in planted
        if left_of(key, together)
        for what, text in out
        if (left := left_of(key, text))
    ]
    assert not leaks, f"a planted key left the process: {sorted(set(leaks))}"
