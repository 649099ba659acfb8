"""Fallback loops of libraries, as their documents write them, to be tried in every case.

With what each does by default: nothing is set but who is asked, and for how long the loop shall wait for it.
`python -m tests.testing.scenarios.libraries` tries them and writes down what they did, with their releases, from which
the documents' table is made; with names behind it, only these.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_failover.testing.scenarios import CASES, Conditions, try_case
from otel_failover.testing.scenarios.judging import FAULTS
from otel_failover.testing.scenarios.telling import document, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_failover.testing.scenarios import Call, Result, Target

DOCS: Final = Path(__file__).parents[3] / "docs"
WRITTEN: Final = DOCS / "assets" / "scenarios.json"
PAGE: Final = DOCS / "try-your-loop.md"
QUESTION: Final = "Hello?"
MESSAGES: Final = [{"role": "user", "content": QUESTION}]


# --- pydantic-ai ------------------------------------------------------------------------------------------------------


def _fallback_model(candidates: Sequence[Target]) -> Any:
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.fallback import FallbackModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.providers.openai import OpenAIProvider

    models: list[Any] = []
    for each in candidates:
        given: Any = {"settings": {"timeout": each.timeout}}
        if each.provider == "anthropic":
            claude = AnthropicProvider(api_key=each.api_key, base_url=each.base_url)
            models.append(AnthropicModel(each.model, provider=claude, **given))
        else:
            gpt = OpenAIProvider(api_key=each.api_key, base_url=each.base_url)
            models.append(OpenAIChatModel(each.model, provider=gpt, **given))
    return FallbackModel(*models)


async def pydantic_ai(candidates: Sequence[Target]) -> str:
    from pydantic_ai import Agent

    return str((await Agent(_fallback_model(candidates)).run(QUESTION)).output)


async def pydantic_ai_streamed(candidates: Sequence[Target]) -> str:
    from pydantic_ai import Agent

    async with Agent(_fallback_model(candidates)).run_stream(QUESTION) as result:
        return "".join([piece async for piece in result.stream_text(delta=True, debounce_by=None)])


# --- litellm ----------------------------------------------------------------------------------------------------------


def _of_litellm(each: Target) -> dict[str, Any]:
    return {
        "model": f"{each.provider}/{each.model}",
        "api_key": each.api_key,
        "api_base": each.base_url,
        "timeout": each.timeout,
    }


def _router(candidates: Sequence[Target]) -> Any:
    from litellm import Router

    first, *rest = [each.model for each in candidates]
    deployments = [{"model_name": each.model, "litellm_params": _of_litellm(each)} for each in candidates]
    return Router(model_list=deployments, fallbacks=[{first: rest}])


async def litellm_router(candidates: Sequence[Target]) -> str:
    reply = await _router(candidates).acompletion(model=candidates[0].model, messages=MESSAGES)
    return str(reply.choices[0].message.content or "")


async def litellm_router_streamed(candidates: Sequence[Target]) -> str:
    chunks = await _router(candidates).acompletion(model=candidates[0].model, messages=MESSAGES, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


async def litellm_fallbacks(candidates: Sequence[Target]) -> str:
    import litellm

    first, *rest = map(_of_litellm, candidates)
    reply = await litellm.acompletion(messages=MESSAGES, fallbacks=rest, **first)
    return str(reply.choices[0].message.content or "")


# --- LangChain --------------------------------------------------------------------------------------------------------


def _with_fallbacks(candidates: Sequence[Target]) -> Any:
    from langchain_anthropic import ChatAnthropic
    from langchain_openai import ChatOpenAI

    kinds: dict[str, Any] = {"anthropic": ChatAnthropic}
    models = [
        kinds.get(each.provider, ChatOpenAI)(
            model=each.model, api_key=each.api_key, base_url=each.base_url, timeout=each.timeout
        )
        for each in candidates
    ]
    return models[0].with_fallbacks(models[1:])


async def langchain(candidates: Sequence[Target]) -> str:
    return str((await _with_fallbacks(candidates).ainvoke(QUESTION)).text)


async def langchain_streamed(candidates: Sequence[Target]) -> str:
    return "".join([str(chunk.text) async for chunk in _with_fallbacks(candidates).astream(QUESTION)])


# --- what they do -----------------------------------------------------------------------------------------------------


class Library(NamedTuple):
    """A library's loop.

    Args:
        distribution: Whose release counts.
        loop: As the documents call it.
        call: Whole.
        streamed: The same, streamed; None where it is left out. Tried only in the cases that are about streams.
    """

    distribution: str
    loop: str
    call: Call
    streamed: Call | None


LIBRARIES: Final = {
    "pydantic-ai": Library("pydantic-ai-slim", "FallbackModel", pydantic_ai, pydantic_ai_streamed),
    "litellm-router": Library("litellm", "Router", litellm_router, litellm_router_streamed),
    "litellm-fallbacks": Library("litellm", "acompletion(fallbacks=…)", litellm_fallbacks, None),
    "langchain": Library("langchain-core", "with_fallbacks", langchain, langchain_streamed),
}


PATIENT: Final = Conditions(deadline=30)
"""Libraries wait between their retries, by default for longer than a person would: that is no hanging."""


def try_library(name: str, part: int = 0, parts: int = 1) -> list[Result]:
    """Try a library's loop: whole, and streamed in the cases that are about streams.

    Args:
        name: Of `LIBRARIES`.
        part: Only every so manieth case, from this one on.
        parts: How many such parts there are.
    """
    library = LIBRARIES[name]
    if part:
        try_case(CASES[0], library.call, PATIENT)  # what is imported, is imported here
    found = []
    for case in CASES[part::parts]:
        call = library.streamed if case.needs == "stream" and library.streamed is not None else library.call
        found.append(try_case(case, call, PATIENT))
    return found


def releases(name: str) -> dict[str, str]:
    """Return the releases that are installed: of the library, and of the SDKs that it asks with."""
    names = (LIBRARIES[name].distribution, "openai", "anthropic")
    return {each: importlib.metadata.version(each) for each in names}


def tried(name: str, part: int = 0, parts: int = 1) -> dict[str, Any]:
    """Try one, or a part of its cases; return what it did, with the releases that it did it with."""
    results = try_library(name, part, parts)
    print(f"{name}: {releases(name)}", *table(results), sep="\n")  # noqa: T201 - a command
    return {"loop": LIBRARIES[name].loop, "releases": releases(name), "cases": document(results)}


def filled(page: str, known: dict[str, Any]) -> str:
    """Return the documents' page with the table of what was written down, and the releases of the SDKs.

    Args:
        page: Its text.
        known: What was written down.
    """
    start = page.index("## What libraries do")
    sdks = sorted({f"{sdk} {each['releases'][sdk]}" for each in known.values() for sdk in ("openai", "anthropic")})
    section = re.sub(r"^SDKs: .*$", f"SDKs: {', '.join(sdks)}.", page[start:], count=1, flags=re.MULTILINE)
    lines = "\n".join(rows(known))
    return page[:start] + re.sub(r"(?:^\|.*\n)+", lambda _: f"{lines}\n", section, count=1, flags=re.MULTILINE)


def rows(known: dict[str, Any]) -> list[str]:
    """Return the lines of the table: a row for each case, a column for each loop; what fails a case in bold."""
    columns = [name for name in LIBRARIES if name in known]
    heads = [f"{name.partition('-router')[0].partition('-fallbacks')[0]} "
             f"{known[name]['releases'][LIBRARIES[name].distribution]} `{known[name]['loop']}`" for name in columns]  # fmt: skip
    lines = [f"| case | {' | '.join(heads)} |", "|---" * (len(columns) + 1) + "|"]
    for case in CASES:
        cells = [_cell(known[name]["cases"][case.name]) for name in columns]
        lines.append(f"| `{case.name}` | {' | '.join(cells)} |")
    return lines


def _cell(found: dict[str, Any]) -> str:
    verdict = f"**{found['verdict']}**" if found["verdict"] in FAULTS else found["verdict"]
    often = found["requests"][0] if found["requests"] else 0
    return f"{verdict} ({often})" if often > 1 else verdict


def main(names: Sequence[str]) -> None:
    """Try them and write down what they did; make the documents' table of it."""
    known = json.loads(WRITTEN.read_text("utf-8")) if WRITTEN.exists() else {}
    known |= {name: tried(name) for name in names or LIBRARIES}
    WRITTEN.write_text(json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(filled(PAGE.read_text("utf-8"), known), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
