"""Which paths ask a model: the cheap look that every POST of the process may get."""

from __future__ import annotations

from typing import Final

_ENDINGS: Final = frozenset({"completions", "messages", "responses", "converse", "converse-stream", "chat", "generate"})


def is_inference_path(host: str, path: str) -> bool:
    """Whether a POST to a path may ask a model; the body, and who named the host, decide (`inference_in`).

    Args:
        host: Name of the host, in lower case.
        path: As it is sent, without the query.
    """
    del host  # not looked at yet
    return path.rpartition("/")[2] in _ENDINGS or "enerateContent" in path
