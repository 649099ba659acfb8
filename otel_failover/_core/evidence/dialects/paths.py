"""Which paths ask a model, and in which dialect: the whole shape of a path, and the dialects of each well-known host.

What only ends as an inference does is none: `/async/chat/completions` is a job, `/threads/{id}/messages` a note.
"""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

from typing import Final, NamedTuple
from urllib.parse import unquote

from otel_failover._core.domain.providers import provider_of_host
from otel_failover._core.text.escapes import compiled

CHAT_COMPLETIONS: Final = "chat_completions"
COMPLETIONS: Final = "completions"
RESPONSES: Final = "responses"
MESSAGES: Final = "messages"
GEMINI: Final = "gemini"
INTERACTIONS: Final = "interactions"
CONVERSE: Final = "converse"
INVOKE: Final = "invoke"
COHERE: Final = "cohere"
COHERE_1: Final = "cohere_1"
OLLAMA: Final = "ollama"
TGI: Final = "tgi"
LLAMA_CPP: Final = "llama_cpp"
LM_STUDIO: Final = "lm_studio"
DASHSCOPE: Final = "dashscope"
WATSONX: Final = "watsonx"
REPLICATE: Final = "replicate"
CLOUDFLARE: Final = "cloudflare"
BAIDU: Final = "baidu"
CONVERSATIONS: Final = "conversations"

CHAT: Final = "chat"
TEXT: Final = "text_completion"
CONTENT: Final = "generate_content"

ANYWHERE: Final = 0
"""With the dialect's own body, a path of this shape asks a model wherever it is sent."""
KNOWN: Final = 1
"""It may as well be anybody's, so that the host has to be known."""
NAMED: Final = 2
"""It is anybody's, unless the user has named the host."""


class Shape(NamedTuple):
    """The shape of a path that asks a model.

    Args:
        dialect: That the body, and the answer, are written in.
        operation: As `Asked.operation`.
        base: What stands before the dialect's own ending.
        model: That the path names; empty where it names none.
        streamed: Whether the path asks for a stream; None where something else does.
        where: `ANYWHERE`, `KNOWN` or `NAMED`.
    """

    dialect: str
    operation: str
    base: str
    model: str
    streamed: bool | None
    where: int


class _Row(NamedTuple):
    """One shape: a pattern with `base` and perhaps `model`, and what it means."""

    pattern: str
    dialect: str
    operation: str
    where: int = ANYWHERE
    streamed: bool | None = None


_BASE: Final = r"(?P<base>(?:/[^/]+)*)"
_SHORT: Final = r"(?P<base>(?:/[^/]+)*?)"
"""As little as may be, where a version may stand before the ending, which the dialect's SDKs add."""
_VERSION: Final = r"/v\d+\w*"
_MODEL: Final = r"/model/(?P<model>.+)"
_WATSONX: Final = rf"{_SHORT}/ml/v\d/(?:deployments/(?P<model>[^/]+)/)?text"

_ROWS: Final[dict[str, tuple[_Row, ...]]] = {
    "completions": (
        _Row(rf"{_BASE}/(?:chat|agents)/completions", CHAT_COMPLETIONS, CHAT),
        _Row(rf"{_BASE}/fim/completions", CHAT_COMPLETIONS, TEXT),
        _Row(rf"{_BASE}/completions", COMPLETIONS, TEXT),
    ),
    "responses": (_Row(rf"{_BASE}/responses", RESPONSES, CHAT),),
    "messages": (_Row(rf"{_SHORT}(?:{_VERSION})?/messages", MESSAGES, CHAT),),
    "interactions": (
        _Row(rf"{_SHORT}(?:{_VERSION})?/interactions", INTERACTIONS, CONTENT, KNOWN),
    ),
    "converse": (_Row(rf"{_SHORT}{_MODEL}/converse", CONVERSE, CHAT, streamed=False),),
    "converse-stream": (_Row(rf"{_SHORT}{_MODEL}/converse-stream", CONVERSE, CHAT, streamed=True),),
    "invoke": (_Row(rf"{_SHORT}{_MODEL}/invoke", INVOKE, CHAT, streamed=False),),
    "invoke-with-response-stream": (
        _Row(rf"{_SHORT}{_MODEL}/invoke-with-response-stream", INVOKE, CHAT, streamed=True),
    ),
    "chat": (
        _Row(rf"{_BASE}/v2/chat", COHERE, CHAT),
        _Row(rf"{_WATSONX}/chat", CHAT_COMPLETIONS, CHAT, streamed=False),
        _Row(rf"{_BASE}/api/v1/chat", LM_STUDIO, CHAT, NAMED),
        _Row(rf"{_BASE}/api/chat", OLLAMA, CHAT),
        _Row(rf"{_BASE}/v1/chat", COHERE_1, CHAT, KNOWN),
        _Row(rf"{_BASE}/chat", COHERE, CHAT, NAMED),
    ),
    "chat_stream": (_Row(rf"{_WATSONX}/chat_stream", CHAT_COMPLETIONS, CHAT, streamed=True),),
    "generate": (
        _Row(rf"{_BASE}/v1/generate", COHERE_1, TEXT, KNOWN),
        _Row(rf"{_BASE}/api/generate", OLLAMA, TEXT),
        _Row(rf"{_BASE}/generate", TGI, TEXT, NAMED),
    ),
    "generate_stream": (_Row(rf"{_BASE}/generate_stream", TGI, TEXT, NAMED, streamed=True),),
    "generation": (
        _Row(rf"{_SHORT}(?:/services/aigc)?/(?:text|multimodal)-generation/generation", DASHSCOPE, CHAT),
        _Row(rf"{_WATSONX}/generation", WATSONX, TEXT, streamed=False),
    ),
    "generation_stream": (_Row(rf"{_WATSONX}/generation_stream", WATSONX, TEXT, streamed=True),),
    "completion": (_Row(rf"{_BASE}/completion", LLAMA_CPP, TEXT, NAMED),),
    "infill": (_Row(rf"{_BASE}/infill", LLAMA_CPP, TEXT, NAMED),),
    "predictions": (
        _Row(rf"{_SHORT}/(?:models|deployments)/(?P<model>[^/]+/[^/]+)/predictions", REPLICATE, CONTENT, KNOWN),
        _Row(rf"{_BASE}/predictions", REPLICATE, CONTENT, NAMED),
    ),
    "chatcompletion_v2": (_Row(rf"{_BASE}/text/chatcompletion_v2", CHAT_COMPLETIONS, CHAT),),
    "invocations": (
        _Row(rf"{_BASE}/serving-endpoints/(?P<model>[^/]+)/invocations", CHAT_COMPLETIONS, CHAT),
        _Row(rf"{_BASE}/invocations", CHAT_COMPLETIONS, CHAT, NAMED),
    ),
    "conversations": (_Row(rf"{_BASE}/conversations", CONVERSATIONS, CHAT, KNOWN),),
    "": (_Row(rf"{_BASE}", TGI, TEXT, NAMED),),
}  # fmt: skip
"""Shapes by the last segment of a path."""

_VERBS: Final = {
    "generateContent": (GEMINI, CONTENT, False),
    "streamGenerateContent": (GEMINI, CONTENT, True),
    "rawPredict": (CHAT_COMPLETIONS, CHAT, False),
    "streamRawPredict": (CHAT_COMPLETIONS, CHAT, True),
}
"""What Google's methods of a model mean; a raw one takes the body of the model's publisher."""
_OF_GOOGLE: Final = (
    rf"{_SHORT}(?:{_VERSION})?(?:/publishers/(?P<publisher>[^/]+))?/(?:models|tunedModels|endpoints)/(?P<model>[^/:]+)"
)
_INSIDE: Final = (
    ("/ai/run/", _Row(rf"{_SHORT}/ai/run/(?P<model>.+)", CLOUDFLARE, CHAT, KNOWN)),
    ("/wenxinworkshop/", _Row(rf"{_SHORT}/wenxinworkshop/chat/(?P<model>[^/]+)", BAIDU, CHAT, KNOWN)),
    ("/wenxinworkshop/", _Row(rf"{_SHORT}/wenxinworkshop/completions/(?P<model>[^/]+)", BAIDU, TEXT, KNOWN)),
    ("/conversations/", _Row(rf"{_BASE}/conversations/[^/]+(?:/restart)?", CONVERSATIONS, CHAT, KNOWN)),
)
"""Shapes that end with a name."""

_JOBS: Final = frozenset(
    {
        "async", "batch", "batches", "queue", "jobs", "threads", "moderations", "files", "evals", "fine_tuning",
        "conversations", "organizations", "guardrail", "async-invoke",
    }
)  # fmt: skip
"""Segments before an ending that make something else of it: a job, a note in a thread."""
_NO_MODELS: Final = frozenset({"count-tokens"})


def is_inference_path(host: str, path: str) -> bool:
    """Whether a POST to a path may ask a model; the body, and who named the host, decide (`inference_in`).

    Args:
        host: Name of the host, in lower case.
        path: As it is sent, without the query.
    """
    last = path.rpartition("/")[2]
    if last == "":
        # AWS's own services are asked at the root, and often.
        return path[:-1].rpartition("/")[2] in _ROWS and not host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return (
        last in _ROWS
        or last.endswith(("enerateContent", "awPredict"))
        or "/ai/run/" in path
        or "/wenxinworkshop/" in path
        or "/conversations/" in path
    )


def shape_of(path: str) -> Shape | None:
    """Return the shape of a path that asks a model; None for any other.

    Args:
        path: As it is sent, without the query.
    """
    path = path.rstrip("/")
    last = path.rpartition("/")[2]
    if "%" in last and ("%3A" in last or "%3a" in last):
        last = unquote(last)
        path = f"{path.rpartition('/')[0]}/{last}"
    name, colon, verb = last.rpartition(":")
    if colon and name and verb in _VERBS:
        return _of_google(path[: -len(verb) - 1], verb)
    for row in _ROWS.get(last, ()):
        shape = _as(row, path)
        if shape is not None:
            return shape
    inside = (_as(row, path) for sign, row in _INSIDE if sign in path)
    return next((shape for shape in inside if shape is not None), None)


def _as(row: _Row, path: str) -> Shape | None:
    found = compiled(row.pattern).fullmatch(path)
    if found is None:
        return None
    model = found.groupdict().get("model") or ""
    return Shape(row.dialect, row.operation, found["base"], unquote(model), row.streamed, row.where)


def _of_google(path: str, verb: str) -> Shape | None:
    found = compiled(_OF_GOOGLE).fullmatch(path)
    dialect, operation, streamed = _VERBS[verb]
    if found is None or found["model"] in _NO_MODELS:
        return None
    if dialect != GEMINI and found["publisher"] == "anthropic":
        dialect = MESSAGES
    return Shape(dialect, operation, found["base"], unquote(found["model"]), streamed, ANYWHERE)


# --- the dialects of well-known hosts ---------------------------------------------------------------------------------

_OPENAI: Final = (CHAT_COMPLETIONS, RESPONSES, COMPLETIONS)
_V: Final = _VERSION
_AZURE: Final = (
    (_OPENAI, rf"/openai(?:/deployments/[^/]+|{_V})?|/models|{_V}|"),
    ((MESSAGES,), r"/anthropic"),
)
_HOSTS: Final[dict[str, tuple[tuple[tuple[str, ...], str], ...]]] = {
    "openai": ((_OPENAI, _V),),
    "azure.ai.openai": _AZURE,
    "azure.ai.inference": _AZURE,
    "anthropic": (((MESSAGES,), ""), ((CHAT_COMPLETIONS,), _V)),
    "aws.bedrock": (
        ((CONVERSE, INVOKE), ""), (_OPENAI, rf"(?:/openai)?{_V}"), ((MESSAGES,), r"(?:/anthropic)?"),
    ),
    "gcp.vertex_ai": (
        ((GEMINI, MESSAGES, CHAT_COMPLETIONS), rf"{_V}/projects/[^/]+/locations/[^/]+(?:/endpoints/[^/]+)?|"),
        ((INTERACTIONS,), rf"{_V}/projects/[^/]+/locations/[^/]+"),
    ),
    "gcp.gemini": (((GEMINI, INTERACTIONS), ""), (_OPENAI, rf"{_V}/openai")),
    "mistral_ai": ((_OPENAI, _V), ((CONVERSATIONS,), _V)),
    "cohere": (((COHERE, COHERE_1), ""), (_OPENAI, rf"/compatibility{_V}")),
    "groq": ((_OPENAI, rf"/openai{_V}"),),
    "together_ai": ((_OPENAI, _V),),
    "fireworks_ai": ((_OPENAI, rf"/inference{_V}"), ((MESSAGES,), "/inference")),
    "deepseek": ((_OPENAI, rf"(?:{_V}|/beta)?"), ((MESSAGES,), "/anthropic")),
    "x_ai": ((_OPENAI, _V), ((MESSAGES,), "")),
    "perplexity": ((_OPENAI, rf"(?:{_V})?"),),
    "cerebras": ((_OPENAI, _V),),
    "sambanova": ((_OPENAI, _V), ((MESSAGES,), "")),
    "nvidia_nim": ((_OPENAI, rf"{_V}(?:/(?:gr|vlm)/.+)?"),),
    "openrouter": ((_OPENAI, rf"/api{_V}(?:/presets/[^/]+)?"), ((MESSAGES,), rf"/api(?:{_V}/presets/[^/]+)?")),
    "moonshot_ai": ((_OPENAI, rf"(?:/coding)?{_V}"), ((MESSAGES,), "/anthropic|/coding")),
    "alibaba_cloud": (
        ((DASHSCOPE,), rf"/api{_V}"), (_OPENAI, rf"/compatible-mode{_V}"), ((MESSAGES,), "/apps/anthropic"),
    ),
    "minimax": ((_OPENAI, _V), ((MESSAGES,), "/anthropic")),
    "zhipu_ai": ((_OPENAI, rf"/api(?:/coding)?/paas{_V}"), ((MESSAGES,), "/api/anthropic")),
    "baidu": ((_OPENAI, _V), ((BAIDU,), r"/rpc/2\.0/ai_custom/v\d+")),
    "ollama": (((OLLAMA, MESSAGES), ""), (_OPENAI, _V)),
    "replicate": (((REPLICATE,), _V),),
    "ibm.watsonx.ai": (((CHAT_COMPLETIONS, WATSONX), ""), (_OPENAI, rf"/ml/gateway{_V}")),
    "ai21": ((_OPENAI, rf"(?:/studio)?{_V}"),),
    "cloudflare": (((CLOUDFLARE,), rf"/client{_V}/accounts/[^/]+"), (_OPENAI, rf"/client{_V}/accounts/[^/]+/ai{_V}")),
    "deepinfra": ((_OPENAI, rf"{_V}/openai"), ((MESSAGES,), "/anthropic")),
    "github_models": ((_OPENAI, "/inference|/orgs/[^/]+/inference"),),
    "databricks": (((CHAT_COMPLETIONS,), "|/serving-endpoints"),),
}  # fmt: skip
"""Of each provider, what stands before a dialect's ending on its own hosts."""


def is_hosts_own(host: str, shape: Shape) -> bool:
    """Whether a path is, whole, one by which a well-known host is asked.

    Args:
        host: Name of the host, in lower case.
        shape: Of the path.
    """
    rows = _HOSTS.get(provider_of_host(host) or "", ())
    return any(shape.dialect in dialects and compiled(base).fullmatch(shape.base) for dialects, base in rows)


def is_for_a_job(shape: Shape) -> bool:
    """Whether what stands before a path's ending makes it a job, or a note, instead of a question.

    Args:
        shape: Of the path.
    """
    return not _JOBS.isdisjoint(shape.base.split("/"))
