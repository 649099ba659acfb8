"""A worker as people write it with Celery: a loop by hand in a task, and what is no failover."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anthropic
import openai
from celery import Celery

from tests.host.frameworks.apps import OTHER, ask_claude, ask_gpt

QUEUE = Path(os.environ["QUEUE"])
KEY: Any = {"api_key": "key-Hm4nB6vC8xZa1qWs3e", "max_retries": 0}
GPT: Any = openai.OpenAI(base_url=os.environ["FIRST"], **KEY)
CLAUDE: Any = anthropic.Anthropic(base_url=os.environ["SECOND"], **KEY)
FAILS = (openai.APIError, anthropic.APIError)

app = Celery("harbour", broker="filesystem://", backend=f"file://{QUEUE}")
app.conf.broker_transport_options = {"data_folder_in": str(QUEUE), "data_folder_out": str(QUEUE)}
app.conf.update(control_folder=str(QUEUE), worker_enable_remote_control=False, task_default_retry_delay=0)


@app.task
def loop(question: str) -> str:
    for ask, client in ((ask_gpt, GPT), (ask_claude, CLAUDE)):
        try:
            return str(ask(client, question))
        except FAILS:
            continue
    raise RuntimeError("nobody answers")


# --- what is none -----------------------------------------------------------------------------------------------------


@app.task(bind=True, max_retries=1)
def again(self: Any, question: str) -> str:
    """By the same model, as a task of its own; then another question to the other."""
    try:
        return ask_gpt(GPT, question) + ask_claude(CLAUDE, OTHER)
    except FAILS as problem:
        raise self.retry(exc=problem, countdown=0) from problem


@app.task
def one(question: str, model: str) -> str:
    """One document by one model; a failure is told."""
    return ask_gpt(GPT, question) if model == "gpt" else ask_claude(CLAUDE, question)
