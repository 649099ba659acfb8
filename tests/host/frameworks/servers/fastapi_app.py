"""A service as people write it with FastAPI: a loop by hand in every kind of endpoint, and what is no failover."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import tenacity
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

from tests.host.frameworks.apps import OTHER, aask_claude, aask_gpt, ask_claude, ask_gpt, messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# Newer releases make spans of their own.
app = FastAPI(**({"telemetry": {"tracing": False}} if os.environ.get("SPANS") == "none" else {}))  # type: ignore[arg-type]
KEY: Any = {"api_key": "key-Hm4nB6vC8xZa1qWs3e", "max_retries": 0}
GPT: Any = openai.OpenAI(base_url=os.environ["FIRST"], **KEY)
AGPT: Any = openai.AsyncOpenAI(base_url=os.environ["FIRST"], **KEY)
CLAUDE: Any = anthropic.Anthropic(base_url=os.environ["SECOND"], **KEY)
ACLAUDE: Any = anthropic.AsyncAnthropic(base_url=os.environ["SECOND"], **KEY)
FAILS = (openai.APIError, anthropic.APIError)


async def passes_on(request: Any, call_next: Any) -> Any:
    """Do nothing, as most do; the endpoint runs in a task of its own below it."""
    return await call_next(request)


app.add_middleware(BaseHTTPMiddleware, dispatch=passes_on)


@app.get("/up")
def up() -> str:
    return "yes"


def loop(question: str) -> str:
    for ask, client in ((ask_gpt, GPT), (ask_claude, CLAUDE)):
        try:
            return str(ask(client, question))
        except FAILS:
            continue
    raise HTTPException(502)


async def aloop(question: str) -> str:
    for ask, client in ((aask_gpt, AGPT), (aask_claude, ACLAUDE)):
        try:
            return str(await ask(client, question))
        except FAILS:
            continue
    raise HTTPException(502)


@app.post("/sync")
def sync(q: str) -> str:
    return loop(q)


@app.post("/async")
async def asynchronous(q: str) -> str:
    return await aloop(q)


@app.post("/threads")
async def in_threads(q: str) -> str:
    """Each call in a thread of the pool, with its context."""
    try:
        return await asyncio.to_thread(ask_gpt, GPT, q)
    except FAILS:
        return await asyncio.to_thread(ask_claude, CLAUDE, q)


@app.post("/patient")
async def patient(q: str) -> str:
    """Each call in a task of its own, in Python before 3.12."""
    try:
        return await asyncio.wait_for(aask_gpt(AGPT, q), 20)
    except FAILS:
        return await asyncio.wait_for(aask_claude(ACLAUDE, q), 20)


@app.post("/stream")
def stream(q: str) -> StreamingResponse:
    def chunks() -> Iterator[str]:
        try:
            for chunk in GPT.chat.completions.create(model="gpt-5.5", messages=messages(q), stream=True):
                yield chunk.choices[0].delta.content or ""
        except FAILS:
            with CLAUDE.messages.stream(model="claude-opus-4-7", messages=messages(q), max_tokens=32) as said:
                yield from said.text_stream

    return StreamingResponse(chunks())


@app.post("/astream")
async def astream(q: str) -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        try:
            async for chunk in await AGPT.chat.completions.create(model="gpt-5.5", messages=messages(q), stream=True):
                yield chunk.choices[0].delta.content or ""
        except FAILS:
            async with ACLAUDE.messages.stream(model="claude-opus-4-7", messages=messages(q), max_tokens=32) as said:
                async for text in said.text_stream:
                    yield text

    return StreamingResponse(chunks())


@app.post("/background")
def background(q: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(loop, q)
    return "later"


@app.post("/abackground")
async def abackground(q: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(aloop, q)
    return "later"


@app.post("/gateway/chat/completions")
async def gateway(body: dict[str, Any]) -> dict[str, Any]:
    """What OpenAI's clients ask, answered by Claude."""
    said = await aask_claude(ACLAUDE, body["messages"][-1]["content"])
    choices = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}]
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-5.5", "choices": choices}


@app.post("/inside")
async def inside(q: str) -> str:
    """Ask this application's own gateway, without a socket, as tests and mounted applications do."""
    transport: Any = httpx.AsyncClient(transport=httpx.ASGITransport(app))
    client = openai.AsyncOpenAI(base_url="http://here/gateway", http_client=transport, **KEY)
    return await aask_gpt(client, q)


# --- what is none -----------------------------------------------------------------------------------------------------


@app.post("/ask")
async def ask(q: str, model: str) -> str:
    """One model, as the user chose it; a failure is the user's to see."""
    try:
        return await (aask_gpt(AGPT, q) if model == "gpt" else aask_claude(ACLAUDE, q))
    except FAILS as problem:
        raise HTTPException(502) from problem


@app.post("/retry")
def retry(q: str) -> str:
    """The same model, by tenacity; then another question to the other."""
    again = tenacity.Retrying(stop=tenacity.stop_after_attempt(2))
    return str(again(ask_gpt, GPT, q)) + ask_claude(CLAUDE, OTHER)


@app.post("/both")
async def both(q: str) -> str:
    """Two models asked the same at once, of which one fails; and another question afterwards."""
    said = await asyncio.gather(aask_gpt(AGPT, q), aask_claude(ACLAUDE, q), return_exceptions=True)
    return str(said[1]) + await aask_claude(ACLAUDE, OTHER)


@app.post("/checked")
async def checked(q: str) -> str:
    """The words are embedded and moderated first, which fails, and the model is asked all the same."""
    for check in (AGPT.embeddings, AGPT.moderations):
        try:
            await check.create(model="omni-moderation-latest", input=q)
        except FAILS:
            continue
    return await aask_claude(ACLAUDE, q)


@app.post("/documents")
async def documents(q: str) -> list[str]:
    """A job over many documents, side by side: each by one model, some of which fail."""

    async def one(number: int) -> str:
        try:
            question = f"{q} {number}"
            return await (aask_gpt(AGPT, question) if number % 2 else aask_claude(ACLAUDE, question))
        except FAILS:
            return "?"

    return await asyncio.gather(*(one(number) for number in range(6)))
