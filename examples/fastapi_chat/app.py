"""The service: REST and WebSocket over real pydantic-ai fallback models.

What happened to each model goes to the client in one form everywhere: the two keys of `summarize(...).as_dict()`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anyio import from_thread
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field, ValidationError
from pydantic_ai import Agent
from pydantic_ai.exceptions import AgentRunError, FallbackExceptionGroup

from otel_failover import summarize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_ai.models import Model

STATIC: Final = Path(__file__).with_name("static")
PROBLEM: Final = "application/problem+json"
TITLE: Final = "No model could answer"
BROKE_OFF: Final = "The answer broke off"
logger = logging.getLogger(__name__)


class Question(BaseModel):
    """What a client asks."""

    message: str = Field(min_length=1, max_length=4_000)
    chain: str = Field(default="", max_length=64)


class Reply(BaseModel):
    """What a model answered."""

    text: str


def problem_of(failure: BaseException) -> dict[str, Any]:
    """Return an RFC 9457 problem: its own keys are ours to choose, `outcome` and `candidates` are added to it."""
    found = summarize(failure)
    status = found.status or 503
    title = BROKE_OFF if any(each.outcome == "partial" for each in found.candidates) else TITLE
    return {"type": "about:blank", "title": title, "status": status, "detail": str(found), **found.as_dict()}


def create_app(chains: Mapping[str, Model]) -> FastAPI:
    """Return the service.

    Args:
        chains: Fallback models by name; a question that names none gets the first.
    """
    app = FastAPI(title="Chat")
    agents = {name: Agent(model) for name, model in chains.items()}
    first = next(iter(agents))

    def agent_for(question: Question) -> Agent[None, str]:
        return agents.get(question.chain, agents[first])

    async def ask(question: Question) -> Reply:
        result = await agent_for(question).run(question.message)
        return Reply(text=result.output)

    async def tell(_: Request, failure: Exception) -> JSONResponse:
        problem = problem_of(failure)
        logger.warning("%s: %s", problem["title"], problem["detail"])
        return JSONResponse(problem, problem["status"], media_type=PROBLEM)

    for kind in (FallbackExceptionGroup, AgentRunError):
        app.add_exception_handler(kind, tell)

    @app.post("/chat")
    async def chat(question: Question) -> Reply:
        return await ask(question)

    @app.post("/chat/sync")
    def chat_sync(question: Question) -> Reply:
        return from_thread.run(ask, question)

    @app.websocket("/ws")
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await take(socket, await socket.receive_text())
        except WebSocketDisconnect:
            return

    async def take(socket: WebSocket, text: str) -> None:
        try:
            question = Question.model_validate_json(text)
        except ValidationError:
            await socket.send_json({"type": "error", "title": "The question could not be read", "status": 422})
        else:
            await answer(socket, question)

    async def answer(socket: WebSocket, question: Question) -> None:
        try:
            async with agent_for(question).run_stream(question.message) as result:
                async for text in result.stream_text(delta=True, debounce_by=None):
                    await socket.send_json({"type": "text", "text": text})
        except WebSocketDisconnect:
            raise
        except Exception as failure:
            event = problem_of(failure)
            logger.warning("%s: %s", event["title"], event["detail"])
            await socket.send_json({**event, "type": "error"})
        else:
            await socket.send_json({"type": "done"})

    @app.get("/chains")
    async def names() -> list[str]:
        return list(agents)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    app.mount("/static", StaticFiles(directory=STATIC))
    return app
