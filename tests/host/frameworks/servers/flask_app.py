"""A service as people write it with Flask: a loop by hand, and what is no failover."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anthropic
import openai
from flask import Flask, Response, abort, request

from tests.host.frameworks.apps import OTHER, ask_claude, ask_gpt, messages

if TYPE_CHECKING:
    from collections.abc import Iterator

app = Flask(__name__)
KEY: Any = {"api_key": "key-Hm4nB6vC8xZa1qWs3e", "max_retries": 0}
GPT: Any = openai.OpenAI(base_url=os.environ["FIRST"], **KEY)
CLAUDE: Any = anthropic.Anthropic(base_url=os.environ["SECOND"], **KEY)
FAILS = (openai.APIError, anthropic.APIError)


@app.get("/up")
def up() -> str:
    return "yes"


@app.post("/sync")
def sync() -> Any:
    for ask, client in ((ask_gpt, GPT), (ask_claude, CLAUDE)):
        try:
            return str(ask(client, request.args["q"]))
        except FAILS:
            continue
    return abort(502)


@app.post("/stream")
def stream() -> Response:
    asked = messages(request.args["q"])

    def chunks() -> Iterator[str]:
        try:
            for chunk in GPT.chat.completions.create(model="gpt-5.5", messages=asked, stream=True):
                yield chunk.choices[0].delta.content or ""
        except FAILS:
            with CLAUDE.messages.stream(model="claude-opus-4-7", messages=asked, max_tokens=32) as said:
                yield from said.text_stream

    return Response(chunks())


# --- what is none -----------------------------------------------------------------------------------------------------


@app.post("/ask")
def ask() -> Any:
    """One model, as the user chose it; a failure is the user's to see."""
    try:
        question = request.args["q"]
        return ask_gpt(GPT, question) if request.args["model"] == "gpt" else ask_claude(CLAUDE, question)
    except FAILS:
        return abort(502)


@app.post("/both")
def both() -> str:
    """Two models asked the same at once, of which one fails; and another question afterwards."""
    question = request.args["q"]
    with ThreadPoolExecutor() as pool:
        first, second = pool.submit(ask_gpt, GPT, question), pool.submit(ask_claude, CLAUDE, question)
    return f"{first.exception()}{second.result()}{ask_claude(CLAUDE, OTHER)}"
