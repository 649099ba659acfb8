"""Loops as people write them, good ones and ones with a habit: plain `httpx`, so that they are quick."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_failover.testing.scenarios import Target

MESSAGES: Any = [{"role": "user", "content": "Hello?"}]


class LoopError(Exception):
    """What a loop raises when nobody is left."""


class RefusedError(Exception):
    """What a candidate answered instead."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


def request(target: Target, **more: Any) -> dict[str, Any]:
    path = "/v1/messages" if target.provider == "anthropic" else "/chat/completions"
    headers = {"authorization": f"Bearer {target.api_key}", "x-api-key": target.api_key}
    body = {"model": target.model, "messages": MESSAGES, "max_tokens": 16, **more}
    return {"url": target.base_url + path, "headers": headers, "json": body}


def taken(response: httpx.Response) -> str:
    """Return an answer's text; raise where there is none."""
    if response.status_code != 200:
        raise RefusedError(response.status_code, response.text)
    reply = response.json()
    if "error" in reply:
        raise RefusedError(reply["error"]["code"], reply["error"]["message"])
    text: str = reply["choices"][0]["message"]["content"] if "choices" in reply else reply["content"][0]["text"]
    if not text:
        raise RefusedError(200, "an empty answer")
    return text


def ask(target: Target, timeout: float | None = 0.0) -> str:
    given = target.timeout if timeout == 0.0 else timeout
    return taken(httpx.post(**request(target), timeout=given))


def without_keys(text: str, candidates: Sequence[Target]) -> str:
    for each in candidates:
        text = text.replace(each.api_key, "[key]")
    return text


def good(candidates: Sequence[Target]) -> str:
    """Asks each once, tells what each said under its own name, and no key."""
    told = []
    for each in candidates:
        try:
            return ask(each)
        except Exception as problem:
            told.append(f"{each.model}: {type(problem).__name__} {problem}")
    raise LoopError(without_keys("; ".join(told), candidates))


async def good_async(candidates: Sequence[Target]) -> str:
    told = []
    async with httpx.AsyncClient() as client:
        for each in candidates:
            try:
                return taken(await client.post(**request(each), timeout=each.timeout))
            except Exception as problem:
                told.append(f"{each.model}: {type(problem).__name__} {problem}")
    raise LoopError(without_keys("; ".join(told), candidates))


def good_stream(candidates: Sequence[Target]) -> str:
    """Streams, and takes nothing but what has ended as it should."""
    told = []
    for each in candidates:
        try:
            pieces, has_ended = streamed(each)
            if has_ended and pieces:
                return pieces
            told.append(f"{each.model}: broke off")
        except Exception as problem:
            told.append(f"{each.model}: {problem}")
    raise LoopError("; ".join(told))


def streamed(target: Target, kept: list[str] | None = None) -> tuple[str, bool]:
    """Return the text of a stream of OpenAI's, and whether it has ended as it should."""
    kept = [] if kept is None else kept
    with httpx.stream("POST", **request(target, stream=True), timeout=target.timeout) as response:
        if response.status_code != 200:
            raise RefusedError(response.status_code, response.read().decode())
        for line in response.iter_lines():
            data = line.removeprefix("data: ")
            if data == "[DONE]":
                return "".join(kept), True
            if data:
                event = json.loads(data)
                if "error" in event:
                    raise RefusedError(200, event["error"]["message"])
                kept += [choice["delta"].get("content") or "" for choice in event["choices"]]
    return "".join(kept), False


def with_sdks(candidates: Sequence[Target]) -> str:
    """The SDKs, as they retry by themselves."""
    told = []
    for each in candidates:
        given: dict[str, Any] = {"api_key": each.api_key, "base_url": each.base_url, "timeout": each.timeout}
        asked: dict[str, Any] = {"model": each.model, "messages": MESSAGES}
        try:
            if each.provider == "anthropic":
                with anthropic.Anthropic(**given) as claude:
                    return str(claude.messages.create(**asked, max_tokens=16).content[0].text)
            with openai.OpenAI(**given) as gpt:
                return str(gpt.chat.completions.create(**asked).choices[0].message.content)
        except (openai.OpenAIError, anthropic.AnthropicError) as problem:
            told.append(f"{each.provider}: {problem}")
    raise LoopError("; ".join(told))


# --- habits -----------------------------------------------------------------------------------------------------------


def stops_at_a_400(candidates: Sequence[Target]) -> str:
    for each in candidates:
        try:
            return ask(each)
        except RefusedError as problem:
            if problem.status == 400:
                raise
    raise LoopError("all failed")


def knows_few_errors(candidates: Sequence[Target]) -> str:
    for each in candidates:
        try:
            return ask(each)
        except RefusedError as problem:
            if problem.status not in (429, 500, 503):
                raise
    raise LoopError("all failed")


def swallows(candidates: Sequence[Target]) -> str | None:
    for each in candidates:
        try:
            return ask(each)
        except Exception:
            continue
    return None


def blames_the_first(candidates: Sequence[Target]) -> str:
    told, first = [], ""
    for each in candidates:
        try:
            return ask(each)
        except Exception as problem:
            first = first or str(problem)
            told.append(f"{each.provider}: {first}")
    raise LoopError("; ".join(told))


remembered: dict[str, str] = {}


def remembers_for_ever(candidates: Sequence[Target]) -> str:
    """The error of whichever call failed first in this process."""
    for each in candidates:
        try:
            return ask(each)
        except Exception as problem:
            remembered.setdefault("error", str(problem))
    raise LoopError(remembered["error"])


def waits_for_ever(candidates: Sequence[Target]) -> str:
    for each in candidates:
        try:
            return ask(each, timeout=None)
        except Exception:
            continue
    raise LoopError("all failed")


async def hears_no_cancel(candidates: Sequence[Target]) -> str:
    for each in candidates:
        try:
            async with httpx.AsyncClient() as client:
                return taken(await client.post(**request(each), timeout=each.timeout))
        except (Exception, asyncio.CancelledError):
            continue
    raise LoopError("all failed")


def asks_three_times(candidates: Sequence[Target]) -> str:
    for each in candidates:
        for _ in range(4):
            try:
                return ask(each)
            except Exception:
                continue
    raise LoopError("all failed")


def never_gives_up(candidates: Sequence[Target]) -> str:
    nobody = 0
    while nobody < 20:  # the provider is closed with its case, and nothing else would end this thread
        try:
            return ask(candidates[0])
        except httpx.ConnectError:
            nobody += 1
        except Exception:
            nobody = 0
    raise LoopError("nobody is there any more")


def sends_one_key(candidates: Sequence[Target]) -> str:
    key = candidates[0].api_key
    for each in candidates:
        try:
            return taken(httpx.post(**{**request(each), "headers": {"authorization": f"Bearer {key}"}}))
        except Exception:
            continue
    raise LoopError("all failed")


def logs_its_headers(candidates: Sequence[Target]) -> str:
    logging.getLogger("a loop").warning("asking with %s", request(candidates[0])["headers"])
    return good(candidates)


def prints_its_key(candidates: Sequence[Target]) -> str:
    print(candidates[0].api_key)  # noqa: T201 - its habit
    return good(candidates)


def raises_what_came(candidates: Sequence[Target]) -> str:
    last: Exception | None = None
    for each in candidates:
        try:
            return ask(each)
        except Exception as problem:
            last = problem
    assert last is not None
    raise last


def takes_what_came(candidates: Sequence[Target]) -> str:
    kept: list[str] = []
    try:
        streamed(candidates[0], kept)
    except Exception:
        return "".join(kept)
    return "".join(kept)


def pieces_halves_together(candidates: Sequence[Target]) -> str:
    kept: list[str] = []
    for each in candidates:
        try:
            return streamed(each, kept)[0] if each.provider == "openai" else "".join([*kept, ask(each)])
        except Exception:
            continue
    raise LoopError("all failed")


def takes_any_200(candidates: Sequence[Target]) -> str:
    for each in candidates:
        response = httpx.post(**request(each))
        if response.status_code == 200:
            try:
                return str(response.json()["choices"][0]["message"]["content"])
            except Exception:
                return response.text
    raise LoopError("all failed")


def loses_the_answer(candidates: Sequence[Target]) -> str:
    for number, each in enumerate(candidates):
        try:
            text = ask(each)
        except Exception:
            continue
        if number == 0:
            return text
    raise LoopError("all failed")
