"""One conversation, told in each dialect as its SDK or its users send it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

Result = str | dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Told:
    """A conversation.

    Args:
        texts: What the user asked last, in parts.
        images: Beside it.
        before: What was asked and answered earlier.
        rounds: Results of tools after it, by the turns in which the model called them.
        system: What the system says; empty for nothing.
        tools: Names of those that are offered.
        schema: Name of the answer's; empty for none.
    """

    texts: tuple[str, ...]
    images: tuple[bytes, ...] = ()
    before: tuple[tuple[str, str], ...] = ()
    rounds: tuple[tuple[Result, ...], ...] = ()
    system: str = ""
    tools: tuple[str, ...] = ()
    schema: str = ""


def _b64(image: bytes) -> str:
    return base64.b64encode(image).decode()


def _url(image: bytes) -> str:
    return f"data:image/png;base64,{_b64(image)}"


def _text(result: Result) -> str:
    return result if isinstance(result, str) else json.dumps(result)


def _given(**found: Any) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value}


def chat(told: Told) -> dict[str, Any]:
    """OpenAI's chat completions, and whoever speaks them."""
    parts: list[Any] = [{"type": "text", "text": text} for text in told.texts]
    parts += [{"type": "image_url", "image_url": {"url": _url(image), "detail": "auto"}} for image in told.images]
    messages = [{"role": "developer", "content": told.system}] if told.system else []
    for asked, answered in told.before:
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    messages.append({"role": "user", "content": parts if len(parts) > 1 else told.texts[0]})  # type: ignore[dict-item]
    for number, results in enumerate(told.rounds):
        ids = [f"call_{number}_{place}" for place in range(len(results))]
        messages.append({"role": "assistant", "content": None, "tool_calls": [{"id": each} for each in ids]})  # type: ignore[dict-item]
        messages += [
            {"role": "tool", "tool_call_id": id_, "content": _text(each)}
            for id_, each in zip(ids, results, strict=True)
        ]
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in told.tools]
    schema = {"type": "json_schema", "json_schema": {"name": told.schema, "schema": {}}} if told.schema else None
    return {"model": "m", "messages": messages, **_given(tools=tools, response_format=schema)}


def chat_in_rows(told: Told) -> dict[str, Any]:
    """The same, each piece of what the user says in a message of its own."""
    body = chat(told)
    messages: list[Any] = []
    for message in body["messages"]:
        content = message["content"]
        is_list = message["role"] == "user" and isinstance(content, list)
        messages += [{**message, "content": [part]} for part in content] if is_list else [message]
    return {**body, "messages": messages}


def responses(told: Told) -> dict[str, Any]:
    """OpenAI's responses, as items."""
    items: list[Any] = []
    for asked, answered in told.before:
        items += [
            {"role": "user", "content": asked},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": answered}]},
        ]
    parts = [{"type": "input_text", "text": text} for text in told.texts]
    items.append(
        {
            "role": "user",
            "content": [*parts, *({"type": "input_image", "image_url": _url(each)} for each in told.images)],
        }
    )
    for number, results in enumerate(told.rounds):
        items.append({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]})
        items += [{"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": "{}"} for _ in results]
        items += [{"type": "function_call_output", "call_id": f"c{number}", "output": _text(each)} for each in results]
    tools = [
        *({"type": "function", "name": name} for name in told.tools),
        *([{"type": "web_search"}] if told.tools else []),
    ]
    form = {"format": {"type": "json_schema", "name": told.schema}} if told.schema else None
    return {"model": "m", "input": items, **_given(instructions=told.system, tools=tools, text=form)}


def claude(told: Told) -> dict[str, Any]:
    """Anthropic's messages."""
    content: list[Any] = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _b64(each)}}
        for each in told.images
    ]
    content += [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}} for text in told.texts]
    messages: list[Any] = []
    for asked, answered in told.before:
        messages += [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": [{"type": "text", "text": answered}]},
        ]
    messages.append({"role": "user", "content": content})
    for number, results in enumerate(told.rounds):
        messages.append(
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": f"t{number}", "name": "f", "input": {}} for _ in results],
            }
        )
        messages.append(
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": f"toolu_{number}",
                        "content": [{"type": "text", "text": _text(each)}],
                    }
                    for each in results
                ],
            }
        )
    system = [{"type": "text", "text": told.system}] if told.system else None
    return {
        "model": "m",
        "max_tokens": 9,
        "messages": messages,
        **_given(system=system, tools=[{"name": name} for name in told.tools]),
    }


def claude_raw(told: Told) -> dict[str, Any]:
    """The same, invoked on Bedrock."""
    return {"modelId": "m", "body": json.dumps(claude(told))}


def gemini(told: Told) -> dict[str, Any]:
    """Gemini's, as it is sent."""
    contents: list[Any] = []
    for asked, answered in told.before:
        contents += [{"role": "user", "parts": [{"text": asked}]}, {"role": "model", "parts": [{"text": answered}]}]
    parts: list[Any] = [{"text": text} for text in told.texts]
    parts += [{"inlineData": {"mimeType": "image/png", "data": _b64(image)}} for image in told.images]
    contents.append({"role": "user", "parts": parts})
    for results in told.rounds:
        contents.append({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}} for _ in results]})
        answers = [each if isinstance(each, dict) else {"result": each} for each in results]
        contents.append(
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": each}} for each in answers]}
        )
    system = {"parts": [{"text": told.system}]} if told.system else None
    tools = (
        [{"functionDeclarations": [{"name": name} for name in told.tools]}, {"googleSearch": {}}]
        if told.tools
        else None
    )
    return {"contents": contents, **_given(systemInstruction=system, tools=tools)}


def gemini_sdk(told: Told) -> dict[str, Any]:
    """Gemini's, as its SDK is given it: objects of its own, images as bytes."""
    contents: list[Any] = []
    for asked, answered in told.before:
        contents += [_turn("user", [_part(text=asked)]), _turn("model", [_part(text=answered)])]
    images = [SimpleNamespace(mime_type="image/png", data=image) for image in told.images]
    contents.append(
        _turn("user", [*(_part(text=text) for text in told.texts), *(_part(inline_data=each) for each in images)])
    )
    for results in told.rounds:
        contents.append(_turn("model", [_part(function_call=SimpleNamespace(name="f")) for _ in results]))
        answers = [each if isinstance(each, dict) else {"output": each} for each in results]
        contents.append(
            _turn("tool", [_part(function_response=SimpleNamespace(name="f", response=each)) for each in answers])
        )
    tools = (
        [SimpleNamespace(function_declarations=[SimpleNamespace(name=name) for name in told.tools])]
        if told.tools
        else None
    )
    return {
        "model": "m",
        "contents": contents,
        "config": SimpleNamespace(system_instruction=told.system or None, tools=tools),
    }


def _turn(role: str, parts: list[Any]) -> SimpleNamespace:
    return SimpleNamespace(role=role, parts=parts)


def _part(**found: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"text": None, "inline_data": None, "function_response": None, **found})


def converse(told: Told) -> dict[str, Any]:
    """Bedrock's Converse, as botocore is given it."""
    messages: list[Any] = []
    for asked, answered in told.before:
        messages += [
            {"role": "user", "content": [{"text": asked}]},
            {"role": "assistant", "content": [{"text": answered}]},
        ]
    content: list[Any] = [{"text": text} for text in told.texts]
    content += [{"image": {"format": "png", "source": {"bytes": image}}} for image in told.images]
    messages.append({"role": "user", "content": [*content, {"cachePoint": {"type": "default"}}]})
    for number, results in enumerate(told.rounds):
        messages.append(
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": f"u{number}", "name": "f"}} for _ in results]}
        )
        messages.append(
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": f"u{number}",
                            "status": "success",
                            "content": [{"text": each} if isinstance(each, str) else {"json": each}],
                        }
                    }
                    for each in results
                ],
            }
        )
    system = [{"text": told.system}] if told.system else None
    tools = {"tools": [{"toolSpec": {"name": name}} for name in told.tools]} if told.tools else None
    return {"modelId": "m", "messages": messages, **_given(system=system, toolConfig=tools)}


def cohere(told: Told) -> dict[str, Any]:
    """Cohere's second API."""
    body = chat(told)
    for message in body["messages"]:
        if message["role"] == "tool":
            message["content"] = [{"type": "document", "document": {"data": message["content"]}}]
        if message["role"] == "developer":
            message["role"] = "system"
    return body


def cohere_1(told: Told) -> dict[str, Any]:
    """Cohere's first API; what came of tools since the message stands beside it."""
    history = [{"role": "USER" if place % 2 == 0 else "CHATBOT", "message": text}
               for place, text in enumerate(text for pair in told.before for text in pair)]  # fmt: skip
    results = [{"call": {"name": "f", "parameters": {}}, "outputs": [each if isinstance(each, dict) else {"result": each}]}
               for each_round in told.rounds for each in each_round]  # fmt: skip
    return {"message": "\n".join(told.texts), "chat_history": history,
            **_given(preamble=told.system, tool_results=results, tools=[{"name": name} for name in told.tools])}  # fmt: skip


def ollama(told: Told) -> dict[str, Any]:
    """Ollama's chat: images stand beside the text."""
    body = chat(told)
    for message in body["messages"]:
        if message["role"] == "user" and isinstance(message["content"], list):
            message |= {"content": "\n".join(told.texts), **_given(images=[_b64(image) for image in told.images])}
    body.pop("response_format", None)
    return body


def ollama_generate(told: Told) -> dict[str, Any]:
    """Ollama's prompt."""
    return {
        "model": "m",
        "prompt": " ".join(told.texts),
        **_given(system=told.system, images=[_b64(each) for each in told.images]),
    }


def dashscope(told: Told) -> dict[str, Any]:
    """DashScope's: the messages are its input."""
    body = chat(told)
    for message in body["messages"]:
        if message["role"] == "user" and isinstance(message["content"], list):
            message["content"] = [
                *({"image": _url(each)} for each in told.images),
                *({"text": each} for each in told.texts),
            ]
    return {"model": "m", "input": {"messages": body["messages"]}, "parameters": _given(tools=body.get("tools"))}


def interactions(told: Told) -> dict[str, Any]:
    """Gemini's interactions, as turns."""
    turns: list[Any] = []
    for asked, answered in told.before:
        turns += [{"role": "user", "content": asked}, {"role": "model", "content": answered}]
    parts = [{"type": "text", "text": text} for text in told.texts]
    turns.append(
        {
            "role": "user",
            "content": [
                *parts,
                *({"type": "image", "data": _b64(each), "mime_type": "image/png"} for each in told.images),
            ],
        }
    )
    for results in told.rounds:
        turns.append({"role": "model", "content": [{"type": "function_call", "name": "f"} for _ in results]})
        turns.append(
            {
                "role": "user",
                "content": [{"type": "function_result", "call_id": "c", "result": each} for each in results],
            }
        )
    return {
        "model": "m",
        "input": turns,
        **_given(system_instruction=told.system, tools=[{"type": "function", "name": name} for name in told.tools]),
    }


def conversation(told: Told) -> dict[str, Any]:
    """Mistral's conversations, as entries."""
    entries: list[Any] = []
    for asked, answered in told.before:
        entries += [
            {"type": "message.input", "role": "user", "content": asked},
            {"type": "message.output", "role": "assistant", "content": answered},
        ]
    parts: list[Any] = [{"type": "text", "text": text} for text in told.texts]
    entries.append(
        {
            "type": "message.input",
            "role": "user",
            "content": [*parts, *({"type": "image_url", "image_url": _url(each)} for each in told.images)],
        }
    )
    for results in told.rounds:
        entries += [{"type": "function.call", "name": "f", "arguments": "{}"} for _ in results]
        entries += [{"type": "function.result", "tool_call_id": "c", "result": _text(each)} for each in results]
    return {"model": "m", "inputs": entries, **_given(instructions=told.system)}


def parts_alone(told: Told) -> dict[str, Any]:
    """Parts with no turn around them, as Gemini's SDK and interactions take them."""
    return {
        "model": "m",
        "contents": [*told.texts, *(_part(inline_data=SimpleNamespace(data=each)) for each in told.images)],
        "config": SimpleNamespace(system_instruction=told.system or None),
    }


def text_alone(name: str, system: str = "") -> Callable[[Told], dict[str, Any]]:
    """A text alone under a name, and the system's under another, where there is one."""
    return lambda told: {
        "model": "m",
        name: "\n\n".join(told.texts),
        **(_given(**{system: told.system}) if system else {}),
    }


WHOLE: Final[dict[str, Callable[[Told], Any]]] = {
    "chat": chat, "chat, in rows": chat_in_rows, "responses": responses, "Anthropic": claude,
    "Anthropic on Bedrock": claude_raw, "Gemini": gemini, "Gemini's SDK": gemini_sdk, "Converse": converse,
    "Cohere": cohere, "Ollama": ollama, "DashScope": dashscope, "interactions": interactions,
    "conversations": conversation,
}  # fmt: skip
"""Dialects in which all of a conversation can be told."""
WITHOUT_IMAGES: Final[dict[str, Callable[[Told], Any]]] = {"Cohere 1": cohere_1}
WITHOUT_TOOLS: Final[dict[str, Callable[[Told], Any]]] = {"Ollama's prompt": ollama_generate, "parts": parts_alone}
ALONE: Final[dict[str, Callable[[Told], Any]]] = {
    "completions": text_alone("prompt"), "responses, a text": text_alone("input", "instructions"),
    "watsonx": lambda told: {"model_id": "m", "input": "\n\n".join(told.texts)}, "TGI": text_alone("inputs"),
    "Gemini, a text": text_alone("contents", "systemInstruction"), "Titan": text_alone("inputText"),
    "Replicate": lambda told: {"input": text_alone("prompt")(told)},
    "DashScope's prompt": lambda told: {"model": "m", "input": text_alone("prompt")(told)},
}  # fmt: skip
"""Dialects in which only a text can be asked."""
UNSAID: Final = frozenset({"completions", "watsonx", "TGI", "Titan", "Replicate", "DashScope's prompt"})
"""Those of them with no place for what the system says."""


def renderers(told: Told) -> dict[str, Callable[[Told], Any]]:
    """Return the dialects in which a conversation can be told."""
    found = dict(WHOLE)
    found |= {} if told.images else WITHOUT_IMAGES
    found |= {} if told.rounds or told.before else WITHOUT_TOOLS
    return found if told.images or told.rounds or told.before else {**found, **ALONE}
