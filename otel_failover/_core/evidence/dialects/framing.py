"""How the events of a streamed answer are framed: by lines, as JSON objects one after another, or in AWS's frames.

A framing takes a stream's bytes in whatever pieces they come and hands on those that make whole events, as they are:
most of them are never taken apart. What it has to wait for is bounded, and an event that is too long, a picture, is
passed over; so that the same bytes give the same events, however they are cut.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Protocol

from otel_failover._core.text.escapes import compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST: Final = 262_144
"""Bytes of an event that is looked at."""

EXCEPTION: Final = "exception:"
"""What stands before the name of an error in the type of an event."""


class Framing(Protocol):
    """Takes a stream's bytes in pieces, and gives its events whole."""

    def whole(self, chunk: bytes) -> bytes:
        """Return the events that are whole by now, as they came.

        Args:
            chunk: The next piece.
        """

    def left(self) -> bytes:
        """Return the last event, where the end of the body is its end."""

    def events(self, whole: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield the type of each event, empty where the framing says none, and its data.

        Args:
            whole: As `whole` returned it.
        """

    def tail(self, whole: bytes, size: int) -> bytes:
        """Return the events whose ends stand among the last bytes.

        Args:
            whole: As `whole` returned it, one after another.
            size: Number of bytes.
        """


class Lines:
    """Server-sent events and JSON lines: what stands behind `data:` on a line, or a line that is an object."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skips = False

    def whole(self, chunk: bytes) -> bytes:
        """Return the lines that are whole by now."""
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._wait(chunk)
            return b""
        lines = chunk if end == len(chunk) else chunk[:end]
        if self._skips:
            lines = lines[lines.find(b"\n") + 1 :]
            self._skips = False
        elif self._rest:
            lines = bytes(self._rest) + lines
        self._rest.clear()
        # What an event is stands on the lines before its data, and is handed on with that.
        while lines and lines[-2:] != b"\n\n":
            last = lines.rfind(b"\n", 0, len(lines) - 1) + 1
            if not lines.startswith(_BEFORE, last):
                break
            self._rest[:0] = lines[last:]
            lines = lines[:last]
        if end != len(chunk):
            self._wait(chunk[end:])
        if len(lines) > LONGEST:
            return b"".join(each for each in lines.splitlines(keepends=True) if len(each) <= LONGEST)
        return lines

    def _wait(self, piece: bytes) -> None:
        if not self._skips:
            self._rest += piece
            if len(self._rest) > LONGEST:
                self._rest.clear()
                self._skips = True

    def left(self) -> bytes:
        """Return the last line, which may have no end."""
        return bytes(self._rest)

    def events(self, whole: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield what the lines hold, each with the `event:` before it."""
        kind = ""
        for each in whole.split(b"\n"):
            line = each.strip()
            if line.startswith(b"data:"):
                yield kind, line[5:].strip()
            elif line.startswith(b"{"):
                yield kind, line
            elif line.startswith(b"event:"):
                kind = line[6:].strip().decode("utf-8", "replace")
            elif not line:
                kind = ""

    def tail(self, whole: bytes, size: int) -> bytes:
        """Return the lines that end among the last bytes."""
        return whole[whole.rfind(b"\n", 0, max(0, len(whole) - size)) + 1 :] if len(whole) > size else whole


_BEFORE: Final = (b"event:", b"id:", b":", b"retry:")


class Objects:
    """JSON objects one after another, as in Gemini's list, which is written over many lines; or one, a whole answer."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._depth = 0
        self._quoted = self._escaped = self._skips = False

    def whole(self, chunk: bytes) -> bytes:
        """Return the objects that are whole by now, a zero after each."""
        found: list[bytes] = []
        start = 0
        signs = compiled(_SIGNS).finditer(chunk.decode("latin-1"), int(self._escaped))
        self._escaped = False
        for sign in signs:
            kind, end = sign[0], sign.end()
            if kind[0] == "\\":
                self._escaped = len(kind) == 1  # what it stands before comes with the next piece
            elif kind == '"':
                self._quoted = not self._quoted
            elif self._quoted:
                continue
            elif kind == "{":
                start = start if self._depth else end - 1
                self._depth += 1
            elif self._depth:
                self._depth -= 1
                if not self._depth:
                    found.append(bytes(self._rest) + chunk[start:end] if not self._skips else b"")
                    self._rest.clear()
                    self._skips = False
        if self._depth and not self._skips:
            self._rest += chunk[start:]
            if len(self._rest) > LONGEST:
                self._rest.clear()
                self._skips = True
        return b"".join(each + _BETWEEN for each in found if 0 < len(each) <= LONGEST)

    def left(self) -> bytes:
        """Return nothing: an object without its end is none."""
        return b""

    @property
    def is_closed(self) -> bool:
        """Whether no object is under way."""
        return not self._depth

    def events(self, whole: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield the objects."""
        yield from (("", each) for each in whole.split(_BETWEEN) if each)

    def tail(self, whole: bytes, size: int) -> bytes:
        """Return the objects that end among the last bytes."""
        return whole[whole.rfind(_BETWEEN, 0, max(0, len(whole) - size)) + 1 :] if len(whole) > size else whole


_BETWEEN: Final = b"\0"
"""Stands in no JSON."""
_SIGNS: Final = r'(?s)\\.?|["{}]'


class Frames:
    """AWS's event stream: binary frames, a JSON document in each.

    Length, length of the headers and a checksum, the headers, the document, another checksum.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipped = 0

    def whole(self, chunk: bytes) -> bytes:
        """Return the frames that are whole by now."""
        self._rest += chunk
        held, start, end = self._rest, 0, 0
        parts: list[bytes] = []
        while True:
            if self._skipped:
                passed = min(self._skipped, len(held) - end)
                self._skipped -= passed
                start = end = end + passed
            if self._skipped or len(held) - end < _PRELUDE:
                break
            length, headers = _LENGTHS.unpack_from(held, end)
            if length < headers + _AROUND or length > _LONGEST_FRAME:
                raise ValueError("no frames of an event stream")
            if length > LONGEST:
                parts.append(bytes(held[start:end]))
                self._skipped = length
                start = end
            elif len(held) - end < length:
                break
            else:
                end += length
        parts.append(bytes(held[start:end]))
        del held[:end]
        return b"".join(parts)

    def left(self) -> bytes:
        """Return nothing: a frame without its end is none."""
        return b""

    def events(self, whole: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield the type and the document of each frame; of an error, its name behind `EXCEPTION`."""
        for start, end in _spans(whole):
            after = start + _PRELUDE + _LENGTHS.unpack_from(whole, start)[1]
            headers = dict(_headers(whole[start + _PRELUDE : after]))
            fault = headers.get(":exception-type") or headers.get(":error-code")
            yield f"{EXCEPTION}{fault}" if fault else headers.get(":event-type", ""), whole[after : end - _CHECKSUM]

    def tail(self, whole: bytes, size: int) -> bytes:
        """Return the frames that end among the last bytes."""
        if len(whole) <= size:
            return whole
        return whole[next((start for start, end in _spans(whole) if end > len(whole) - size), len(whole)) :]


_LONGEST_FRAME: Final = 25_165_824
"""Bytes that AWS allows."""
_PRELUDE: Final = 12
_CHECKSUM: Final = 4
_AROUND: Final = _PRELUDE + _CHECKSUM
_LENGTHS: Final = struct.Struct(">II")
_TEXT: Final = b"\x07"
_WIDTHS: Final = {b"\0": 0, b"\1": 0, b"\2": 1, b"\3": 2, b"\4": 4, b"\5": 8, b"\x08": 8, b"\x09": 16}
"""Bytes of the values of a header, by its type, where they are no texts."""


def _spans(frames: bytes) -> Iterator[tuple[int, int]]:
    start = 0
    while start + _PRELUDE <= len(frames):
        end = start + _LENGTHS.unpack_from(frames, start)[0]
        yield start, end
        start = end


def _headers(headers: bytes) -> Iterator[tuple[str, str]]:
    """Yield the names and the values of a frame's headers that are texts."""
    at = 0
    while at < len(headers):
        start = at + 1
        at = start + headers[at]
        name, kind = headers[start:at].decode("utf-8", "replace"), headers[at : at + 1]
        at += 1
        if kind in _WIDTHS:
            at += _WIDTHS[kind]
            continue
        start = at + 2
        at = start + int.from_bytes(headers[at:start], "big")
        if kind == _TEXT:
            yield name, headers[start:at].decode("utf-8", "replace")
