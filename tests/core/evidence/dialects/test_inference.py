"""Which requests ask a model, by path, host and body; each beside what only looks like one."""

from __future__ import annotations

import json
import time
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_failover._core.domain.providers import GATEWAYS, provider_of_host
from otel_failover._core.evidence.dialects.inference import Inference, inference_in
from otel_failover._core.evidence.dialects.models import answers_nobody, makes_media
from otel_failover._core.evidence.dialects.paths import is_inference_path

TURNS: Final = [{"role": "user", "content": "Why is the sky blue?"}]
CHAT: Final[dict[str, Any]] = {"model": "m-1", "messages": TURNS}
CLAUDE: Final[dict[str, Any]] = {**CHAT, "max_tokens": 9}
ASKED: Final[dict[str, Any]] = {"model": "m-1", "input": "Why?"}
TURNED: Final[dict[str, Any]] = {"model": "m-1", "input": {"messages": TURNS}}
WRITTEN: Final[dict[str, Any]] = {"model": "m-1", "prompt": "Why?"}
CONTENTS: Final[dict[str, Any]] = {"contents": [{"role": "user", "parts": [{"text": "Why?"}]}]}
CONVERSED: Final[dict[str, Any]] = {"messages": [{"role": "user", "content": [{"text": "Why?"}]}]}
JSON: Final = {"content-type": "application/json"}
ANYBODY: Final = "llm.acme.example"
ARN: Final = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-3-7"
QUOTED: Final = "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.claude-3-7"


def asks(
    host: str,
    path: str,
    body: Any = None,
    *,
    named: bool = False,
    known: bool | None = None,
    query: str = "",
    headers: dict[str, str] | None = None,
) -> Inference | None:
    """What a POST asks: its cheap look first, as a transport does."""
    if not is_inference_path(host, path):
        return None
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    is_known = provider_of_host(host) is not None or named if known is None else known
    return inference_in(
        host, path, query, JSON if headers is None else headers, content, is_known=is_known, is_named=named
    )


class Row(NamedTuple):
    """A request, and what it asks."""

    host: str
    path: str
    body: Any
    dialect: str
    operation: str
    base: str
    model: str = "m-1"


CHAT_OF: Final = ("chat_completions", "chat")
ROWS: Final = {
    # each dialect
    "A": Row("api.openai.com", "/v1/chat/completions", CHAT, *CHAT_OF, "/v1"),
    "B": Row("api.openai.com", "/v1/responses", ASKED, "responses", "chat", "/v1"),
    "C": Row("api.openai.com", "/v1/completions", WRITTEN, "completions", "text_completion", "/v1"),
    "D": Row("api.anthropic.com", "/v1/messages", CLAUDE, "messages", "chat", ""),
    "E": Row(
        "generativelanguage.googleapis.com",
        "/v1beta/models/gemini-3:generateContent",
        CONTENTS,
        "gemini",
        "generate_content",
        "",
        "gemini-3",
    ),
    "E2": Row(
        "generativelanguage.googleapis.com",
        "/v1beta/interactions",
        ASKED,
        "interactions",
        "generate_content",
        "",
    ),
    "E2, an agent": Row(
        "generativelanguage.googleapis.com",
        "/v1beta/interactions",
        {"agent": "deep-1", "input": "Why?"},
        "interactions",
        "generate_content",
        "",
        "deep-1",
    ),
    "F": Row(
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/anthropic.claude-3-7-v1%3A0/converse",
        CONVERSED,
        "converse",
        "chat",
        "",
        "anthropic.claude-3-7-v1:0",
    ),
    "F, a quoted ARN": Row(
        "bedrock-runtime.us-east-1.amazonaws.com", f"/model/{QUOTED}/converse", CONVERSED, "converse", "chat", "", ARN
    ),
    "F, an ARN that a library has unquoted": Row(
        "bedrock-runtime.us-east-1.amazonaws.com", f"/model/{ARN}/converse", CONVERSED, "converse", "chat", "", ARN
    ),
    "F2": Row(
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/anthropic.claude-3/invoke",
        CONVERSED,
        "invoke",
        "chat",
        "",
        "anthropic.claude-3",
    ),
    "F2, Llama": Row(
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/meta.llama4/invoke",
        {"prompt": "Why?"},
        "invoke",
        "text_completion",
        "",
        "meta.llama4",
    ),
    "G": Row("api.cohere.com", "/v2/chat", CHAT, "cohere", "chat", ""),
    "G1": Row("api.cohere.com", "/v1/chat", {"model": "m-1", "message": "Why?"}, "cohere_1", "chat", ""),
    "G1, generate": Row("api.cohere.com", "/v1/generate", WRITTEN, "cohere_1", "text_completion", ""),
    "H": Row("localhost", "/api/chat", CHAT, "ollama", "chat", ""),
    "H, generate": Row("localhost", "/api/generate", WRITTEN, "ollama", "text_completion", ""),
    "K": Row(
        "dashscope.aliyuncs.com",
        "/api/v1/services/aigc/text-generation/generation",
        {"model": "m-1", "input": {"messages": TURNS}},
        "dashscope",
        "chat",
        "/api/v1",
    ),
    "K, pictures": Row(
        "dashscope-us.aliyuncs.com",
        "/api/v1/services/aigc/multimodal-generation/generation",
        {"model": "m-1", "input": {"messages": TURNS}},
        "dashscope",
        "chat",
        "/api/v1",
    ),
    "L": Row(
        "eu-de.ml.cloud.ibm.com", "/ml/v1/text/chat", {"model_id": "m-1", "messages": TURNS}, *CHAT_OF, ""
    ),
    "L, generation": Row(
        "eu-de.ml.cloud.ibm.com",
        "/ml/v1/text/generation",
        {"model_id": "m-1", "input": "Why?"},
        "watsonx",
        "text_completion",
        "",
    ),
    "L, a deployment": Row(
        "eu-de.ml.cloud.ibm.com", "/ml/v1/deployments/d-1/text/chat", {"messages": TURNS}, *CHAT_OF, "", "d-1"
    ),
    "M": Row(
        "api.replicate.com",
        "/v1/models/meta/llama-4/predictions",
        {"input": {"prompt": "Why?"}},
        "replicate",
        "generate_content",
        "/v1",
        "meta/llama-4",
    ),
    "M, a version": Row(
        "api.replicate.com",
        "/v1/predictions",
        {"version": "abc", "input": {"prompt": "Why?"}},
        "replicate",
        "generate_content",
        "/v1",
        "abc",
    ),
    "M, a deployment": Row(
        "api.replicate.com",
        "/v1/deployments/acme/our/predictions",
        {"input": {"prompt": "Why?"}},
        "replicate",
        "generate_content",
        "/v1",
        "acme/our",
    ),
    "N": Row(
        "api.cloudflare.com",
        "/client/v4/accounts/a1/ai/run/@cf/meta/llama-4",
        {"messages": TURNS},
        "cloudflare",
        "chat",
        "/client/v4/accounts/a1",
        "@cf/meta/llama-4",
    ),
    "O": Row(
        "aip.baidubce.com",
        "/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/ernie-4",
        {"messages": TURNS},
        "baidu",
        "chat",
        "/rpc/2.0/ai_custom/v1",
        "ernie-4",
    ),
    "P": Row("api.minimax.io", "/v1/text/chatcompletion_v2", CHAT, *CHAT_OF, "/v1"),
    "Q": Row(
        "dbc-1.cloud.databricks.com", "/serving-endpoints/our-llm/invocations", {"messages": TURNS}, *CHAT_OF, "",
        "our-llm",
    ),
    # hosts with paths of their own
    "Azure": Row(
        "r.openai.azure.com", "/openai/deployments/m-1/chat/completions", CHAT, *CHAT_OF, "/openai"
    ),
    "Azure, a deployment with a name of its own": Row(
        "r.openai.azure.com", "/openai/deployments/prod-a/chat/completions", CHAT, *CHAT_OF, "/openai/deployments/prod-a"
    ),
    "Azure, without a model": Row(
        "r.openai.azure.com", "/openai/deployments/prod-a/chat/completions", {"messages": TURNS}, *CHAT_OF,
        "/openai/deployments/prod-a", "prod-a",
    ),
    "Azure, responses": Row("r.openai.azure.com", "/openai/responses", ASKED, "responses", "chat", "/openai"),
    "Azure, v1": Row("r.openai.azure.com", "/openai/v1/chat/completions", CHAT, *CHAT_OF, "/openai/v1"),
    "Foundry": Row("r.services.ai.azure.com", "/anthropic/v1/messages", CLAUDE, "messages", "chat", "/anthropic"),
    "Foundry, models": Row("r.services.ai.azure.com", "/models/chat/completions", CHAT, *CHAT_OF, "/models"),
    "Mantle": Row("bedrock-mantle.us-east-1.api.aws", "/openai/v1/responses", ASKED, "responses", "chat", "/openai/v1"),
    "Vertex": Row(
        "us-central1-aiplatform.googleapis.com",
        "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-3:streamGenerateContent",
        CONTENTS,
        "gemini",
        "generate_content",
        "/v1/projects/p/locations/us-central1",
        "gemini-3",
    ),
    "Vertex, Claude": Row(
        "aiplatform.eu.rep.googleapis.com",
        "/v1/projects/p/locations/eu/publishers/anthropic/models/claude-5:rawPredict",
        {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": TURNS},
        "messages",
        "chat",
        "/v1/projects/p/locations/eu",
        "claude-5",
    ),
    "Vertex, Mistral": Row(
        "us-central1-aiplatform.googleapis.com",
        "/v1/projects/p/locations/l/publishers/mistralai/models/mistral-4:rawPredict",
        CHAT,
        *CHAT_OF,
        "/v1/projects/p/locations/l",
        "mistral-4",
    ),
    "Gemini as OpenAI": Row(
        "generativelanguage.googleapis.com", "/v1beta/openai/chat/completions", CHAT, *CHAT_OF, "/v1beta/openai"
    ),
    "Mistral": Row("api.eu.mistral.ai", "/v1/chat/completions", CHAT, *CHAT_OF, "/v1"),
    "Mistral, fill in": Row(
        "api.mistral.ai", "/v1/fim/completions", WRITTEN, "chat_completions", "text_completion", "/v1"
    ),
    "Mistral, an agent": Row(
        "api.mistral.ai", "/v1/agents/completions", {"agent_id": "ag-1", "messages": TURNS}, *CHAT_OF, "/v1", "ag-1"
    ),
    "Mistral, a conversation": Row(
        "api.mistral.ai", "/v1/conversations", {"model": "m-1", "inputs": "Why?"}, "conversations", "chat", "/v1"
    ),
    "Mistral, a conversation goes on": Row(
        "api.mistral.ai", "/v1/conversations/c-1", {"inputs": "Why?"}, "conversations", "chat", "/v1", ""
    ),
    "Cohere as OpenAI": Row("api.cohere.com", "/compatibility/v1/chat/completions", CHAT, *CHAT_OF, "/compatibility/v1"),
    "Groq": Row("api.groq.com", "/openai/v1/chat/completions", CHAT, *CHAT_OF, "/openai/v1"),
    "Together": Row("api.together.ai", "/v1/completions", WRITTEN, "completions", "text_completion", "/v1"),
    "Fireworks": Row("api.fireworks.ai", "/inference/v1/chat/completions", CHAT, *CHAT_OF, "/inference/v1"),
    "Fireworks as Anthropic": Row("api.fireworks.ai", "/inference/v1/messages", CLAUDE, "messages", "chat", "/inference"),
    "DeepSeek": Row("api.deepseek.com", "/chat/completions", CHAT, *CHAT_OF, ""),
    "DeepSeek, beta": Row("api.deepseek.com", "/beta/completions", WRITTEN, "completions", "text_completion", "/beta"),
    "DeepSeek as Anthropic": Row("api.deepseek.com", "/anthropic/v1/messages", CLAUDE, "messages", "chat", "/anthropic"),
    "xAI": Row("us-east-1.api.x.ai", "/v1/responses", ASKED, "responses", "chat", "/v1"),
    "Perplexity": Row("api.perplexity.ai", "/chat/completions", CHAT, *CHAT_OF, ""),
    "Cerebras": Row("api.cerebras.ai", "/v1/chat/completions", CHAT, *CHAT_OF, "/v1"),
    "SambaNova": Row("api.sambanova.ai", "/v1/messages", CLAUDE, "messages", "chat", ""),
    "NVIDIA": Row("ai.api.nvidia.com", "/v1/gr/meta/llama-4/chat/completions", CHAT, *CHAT_OF, "/v1/gr/meta/llama-4"),
    "OpenRouter": Row("openrouter.ai", "/api/v1/chat/completions", CHAT, *CHAT_OF, "/api/v1"),
    "OpenRouter, a preset": Row(
        "openrouter.ai", "/api/v1/presets/p/chat/completions", CHAT, *CHAT_OF, "/api/v1/presets/p"
    ),
    "OpenRouter as Anthropic": Row("openrouter.ai", "/api/v1/messages", CLAUDE, "messages", "chat", "/api"),
    "Moonshot": Row("api.moonshot.cn", "/v1/chat/completions", CHAT, *CHAT_OF, "/v1"),
    "Kimi": Row("api.kimi.com", "/coding/v1/chat/completions", CHAT, *CHAT_OF, "/coding/v1"),
    "DashScope as OpenAI": Row(
        "ws-1.cn.maas.aliyuncs.com", "/compatible-mode/v1/chat/completions", CHAT, *CHAT_OF, "/compatible-mode/v1"
    ),
    "MiniMax as Anthropic": Row("api.minimaxi.com", "/anthropic/v1/messages", CLAUDE, "messages", "chat", "/anthropic"),
    "Zhipu": Row("open.bigmodel.cn", "/api/paas/v4/chat/completions", CHAT, *CHAT_OF, "/api/paas/v4"),
    "Baidu": Row("qianfan.baidubce.com", "/v2/chat/completions", CHAT, *CHAT_OF, "/v2"),
    "Ollama's cloud": Row("ollama.com", "/api/chat", CHAT, "ollama", "chat", ""),
    "HF router": Row("router.huggingface.co", "/v1/chat/completions", CHAT, *CHAT_OF, "/v1"),
    "HF router, Groq": Row("router.huggingface.co", "/groq/openai/v1/chat/completions", CHAT, *CHAT_OF, "/groq/openai/v1"),
    "HF router, Zhipu": Row(
        "router.huggingface.co", "/zai-org/api/paas/v4/chat/completions", CHAT, *CHAT_OF, "/zai-org/api/paas/v4"
    ),
    "HF, a model": Row(
        "router.huggingface.co", "/hf-inference/models/o/n/v1/chat/completions", CHAT, *CHAT_OF,
        "/hf-inference/models/o/n/v1",
    ),
    "HF, an endpoint": Row("x.us-east-1.aws.endpoints.huggingface.cloud", "/v1/chat/completions", CHAT, *CHAT_OF, "/v1"),
    "AI21": Row("api.ai21.com", "/studio/v1/chat/completions", CHAT, *CHAT_OF, "/studio/v1"),
    "Databricks as OpenAI": Row(
        "adb-1.2.azuredatabricks.net", "/serving-endpoints/chat/completions", CHAT, *CHAT_OF, "/serving-endpoints"
    ),
    "Databricks, an agent": Row(
        "adb-1.2.azuredatabricks.net", "/serving-endpoints/agent/invocations", {"input": TURNS}, *CHAT_OF, "", "agent"
    ),
    "Cloudflare as OpenAI": Row(
        "api.cloudflare.com", "/client/v4/accounts/a/ai/v1/chat/completions", CHAT, *CHAT_OF,
        "/client/v4/accounts/a/ai/v1",
    ),
    "Cloudflare's gateway": Row(
        "gateway.ai.cloudflare.com", "/v1/a/g/groq/chat/completions", CHAT, *CHAT_OF, "/v1/a/g/groq"
    ),
    "Portkey": Row("api.portkey.ai", "/v1/chat/completions", CHAT, *CHAT_OF, "/v1"),
    "Helicone": Row("ai-gateway.helicone.ai", "/v1/chat/completions", CHAT, *CHAT_OF, "/v1"),
    # hosts of nobody, by the dialect's own body
    "vLLM": Row("localhost", "/v1/chat/completions", CHAT, *CHAT_OF, "/v1"),
    "vLLM, responses": Row("localhost", "/v1/responses", ASKED, "responses", "chat", "/v1"),
    "vLLM, completions": Row("localhost", "/v1/completions", WRITTEN, "completions", "text_completion", "/v1"),
    "vLLM, messages": Row("localhost", "/v1/messages", CLAUDE, "messages", "chat", ""),
    "LM Studio": Row("127.0.0.1", "/api/v0/chat/completions", CHAT, *CHAT_OF, "/api/v0"),
    "a proxy of Gemini": Row(
        ANYBODY, "/gemini/v1beta/models/gemini-3:generateContent", CONTENTS, "gemini", "generate_content", "/gemini",
        "gemini-3",
    ),
    "a proxy of Bedrock": Row(ANYBODY, "/bedrock/model/c/converse", CONVERSED, "converse", "chat", "/bedrock", "c"),
    "a proxy of Cohere": Row(ANYBODY, "/cohere/v2/chat", CHAT, "cohere", "chat", "/cohere"),
    "a slash at the end": Row(ANYBODY, "/v1/chat/completions/", CHAT, *CHAT_OF, "/v1"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_an_inference_is_known_in_each_dialect_and_on_each_host(name: str) -> None:
    row = ROWS[name]
    found = asks(row.host, row.path, row.body)
    assert found is not None
    assert found[:3] == (row.dialect, row.operation, row.model)
    assert found.base == row.base
    assert found.body == row.body


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if provider_of_host(row.host)])
def test_on_a_well_known_host_the_path_is_enough(name: str) -> None:
    """Where a body cannot be seen, whole: it is sent as a stream, or compressed."""
    row = ROWS[name]
    for body, headers in ((None, JSON), (b"\x1f\x8b..", {**JSON, "content-encoding": "gzip"})):
        found = asks(row.host, row.path, body, headers=headers)
        if row.path.startswith("/hf-inference") or provider_of_host(row.host) == "hugging_face":
            continue  # whatever its providers' paths are, the body tells
        assert found is not None
        assert found.dialect == row.dialect
        assert found.model in ("", row.model) or found.base.endswith(f"/deployments/{found.model}")


@pytest.mark.parametrize(
    "name", [name for name, row in ROWS.items() if row.host in (ANYBODY, "localhost", "127.0.0.1")]
)
def test_on_any_other_host_the_body_has_to_tell(name: str) -> None:
    row = ROWS[name]
    for body in (
        None,
        b"",
        b"{}",
        b"[1]",
        b"not JSON",
        {"question": "Why?"},
        {**row.body, "messages": None, "input": "", "prompt": "", "contents": []},
    ):
        assert asks(row.host, row.path, body) is None
    in_path = "models/" in row.path or "model/" in row.path
    unnamed = {name: value for name, value in row.body.items() if name != "model"}
    assert (asks(row.host, row.path, unnamed) is not None) == in_path
    named = asks(row.host, row.path, None, named=True)
    assert named is not None, "the user has named the host"
    assert named.dialect == row.dialect


# --- what is no inference ---------------------------------------------------------------------------------------------

OPENAI, ANTHROPIC, GOOGLE = "api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com"
BEDROCK, VERTEX = "bedrock-runtime.us-east-1.amazonaws.com", "us-central1-aiplatform.googleapis.com"
DASHSCOPE: Final = "dashscope.aliyuncs.com"
CUSTOM: Final = "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fabc"
_AIGC: Final = "/api/v1/services/aigc"
_RUN: Final = "/client/v4/accounts/a/ai/run"
_PUBLISHED: Final = "/v1/projects/p/locations/l/publishers"
NONE: Final[dict[str, tuple[str, str, Any]]] = {
    "counting, Anthropic": (ANTHROPIC, "/v1/messages/count_tokens", CLAUDE),
    "counting, OpenAI": (OPENAI, "/v1/responses/input_tokens", ASKED),
    "counting, Gemini": (GOOGLE, "/v1beta/models/gemini-3:countTokens", CONTENTS),
    "counting, Vertex": (VERTEX, f"{_PUBLISHED}/anthropic/models/count-tokens:rawPredict", CLAUDE),
    "counting, Bedrock": (BEDROCK, "/model/m/count-tokens", CONVERSED),
    "counting, vLLM": ("localhost", "/tokenize", WRITTEN),
    "counting, watsonx": ("eu-de.ml.cloud.ibm.com", "/ml/v1/text/tokenization", ASKED),
    "embeddings": (OPENAI, "/v1/embeddings", ASKED),
    "embeddings, Cohere": ("api.cohere.com", "/v2/embed", CHAT),
    "embeddings, Ollama": ("localhost", "/api/embed", ASKED),
    "embeddings, Gemini": (GOOGLE, "/v1beta/models/e:embedContent", CONTENTS),
    "embeddings, Vertex": (VERTEX, f"{_PUBLISHED}/google/models/e:predict", {"instances": [{"content": "x"}]}),
    "embeddings, Bedrock": (BEDROCK, "/model/amazon.titan-embed-text-v2%3A0/invoke", {"inputText": "x"}),
    "embeddings, Cohere on Bedrock": (BEDROCK, "/model/cohere.embed-v4/invoke", {"texts": ["x"]}),
    "embeddings, Databricks": (
        "a.databricks.com",
        "/serving-endpoints/databricks-gte-large-en/invocations",
        {"input": ["x"]},
    ),
    "a classifier, Databricks": ("a.databricks.com", "/serving-endpoints/c/invocations", {"dataframe_records": []}),
    "embeddings, Cloudflare": ("api.cloudflare.com", "/client/v4/accounts/a/ai/run/@cf/baai/bge-m3", {"text": ["x"]}),
    "reranking": ("api.cohere.com", "/v2/rerank", ASKED),
    "reranking, Bedrock": (BEDROCK, "/model/cohere.rerank-v3/invoke", {"query": "x"}),
    "vectors, by a model without a name": (BEDROCK, f"/model/{CUSTOM}/invoke", {"inputText": "x"}),
    "vectors of pictures, by a model without a name": (
        BEDROCK,
        f"/model/{CUSTOM}/invoke",
        {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {}},
    ),
    "vectors, Replicate": ("api.replicate.com", "/v1/models/o/bge-large/predictions", {"input": {"texts": "x"}}),
    "vectors, Replicate, a version": (
        "api.replicate.com",
        "/v1/predictions",
        {"version": "v", "input": {"texts": "x"}},
    ),
    "a transcript, Replicate": (
        "api.replicate.com",
        "/v1/models/openai/whisper/predictions",
        {"input": {"audio": "u"}},
    ),
    "a larger picture, Replicate": ("api.replicate.com", "/v1/predictions", {"version": "v", "input": {"image": "u"}}),
    "speech or vectors, Replicate": ("api.replicate.com", "/v1/predictions", {"version": "v", "input": {"text": "x"}}),
    "a transcript, DashScope": (
        DASHSCOPE,
        f"{_AIGC}/multimodal-generation/generation",
        {"model": "qwen3-asr-flash", "input": {"messages": TURNS}},
    ),
    "vectors, DashScope": (
        DASHSCOPE,
        f"{_AIGC}/multimodal-generation/generation",
        {"model": "m-1", "input": {"contents": [{"text": "x"}]}},
    ),
    "a ranking, DashScope": (
        DASHSCOPE,
        f"{_AIGC}/text-generation/generation",
        {"model": "m-1", "input": {"query": "x", "documents": ["y"]}},
    ),
    "a transcript, Cloudflare": ("api.cloudflare.com", f"{_RUN}/@cf/openai/whisper", {"audio": [1]}),
    "moderation": (OPENAI, "/v1/moderations", ASKED),
    "moderation, Mistral": ("api.mistral.ai", "/v1/chat/moderations", CHAT),
    "classification, Mistral": ("api.mistral.ai", "/v1/chat/classifications", CHAT),
    "a guardrail": (BEDROCK, "/guardrail/g/version/1/apply", CONVERSED),
    "guardrail checks": (BEDROCK, "/guardrail-checks/invoke", CONVERSED),
    "batches": (OPENAI, "/v1/batches", ASKED),
    "batches, Anthropic": (ANTHROPIC, "/v1/messages/batches", {"requests": []}),
    "batches, Gemini": (GOOGLE, "/v1beta/models/g:batchGenerateContent", CONTENTS),
    "batches, Cloudflare": ("api.cloudflare.com", "/client/v4/accounts/a/ai/run/@cf/m", {"requests": [WRITTEN]}),
    "a job, Bedrock": (BEDROCK, "/async-invoke", CONVERSED),
    "a job, Perplexity": ("api.perplexity.ai", "/async/chat/completions", {"request": CHAT}),
    "a job, as if it were none": ("api.perplexity.ai", "/async/chat/completions", CHAT),
    "a job, Zhipu": ("open.bigmodel.cn", "/api/paas/v4/async/chat/completions", CHAT),
    "a job, xAI": ("api.x.ai", "/v1/chat/completions", {**CHAT, "deferred": True}),
    "a queue": ("router.huggingface.co", "/fal-ai/queue/v1/chat/completions", CHAT),
    "cancelling": (OPENAI, "/v1/responses/resp_1/cancel", {}),
    "a note in a thread": (OPENAI, "/v1/threads/thread_1/messages", {"role": "user", "content": "Why?"}),
    "a note, as if it were none": (OPENAI, "/v1/threads/thread_1/messages", CLAUDE),
    "a conversation that is only kept": (OPENAI, "/v1/conversations", {"items": TURNS}),
    "items of a conversation": (OPENAI, "/v1/conversations/c/items", {"items": TURNS}),
    "a stored completion": (OPENAI, "/v1/chat/completions/chatcmpl-1", {"metadata": {}}),
    "models": (OPENAI, "/v1/models", CHAT),
    "files": (OPENAI, "/v1/files", CHAT),
    "a management call": ("api.fireworks.ai", "/v1/accounts/a/batchInferenceJobs", CHAT),
    "cached content": (GOOGLE, "/v1beta/cachedContents", CONTENTS),
    "pulling a model": ("localhost", "/api/pull", {"model": "m-1"}),
    "the root of AWS": ("sqs.us-east-1.amazonaws.com", "/", {"QueueUrl": "u"}),
    "another service of AWS": ("bedrock-agent-runtime.us-east-1.amazonaws.com", "/agents/a/sessions/s/text", {}),
    "another's path on a known host": (OPENAI, "/v1/messages", {"text": "x"}),
}


TOLD_BY_THE_BODY: Final = {
    "a job, xAI", "a classifier, Databricks", "batches, Cloudflare", "vectors, by a model without a name",
    "vectors of pictures, by a model without a name", "vectors, Replicate, a version", "a larger picture, Replicate",
    "speech or vectors, Replicate", "a transcript, DashScope", "vectors, DashScope", "a ranking, DashScope",
}  # fmt: skip
"""Which else ends as an inference does."""


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_inference_is_none(name: str) -> None:
    host, path, body = NONE[name]
    assert asks(host, path, body) is None
    if name not in TOLD_BY_THE_BODY:
        assert asks(host, path, None) is None


PICTURE: Final = {"prompt": "A fox", "aspect_ratio": "1:1"}
MADE: Final[dict[str, tuple[str, str, Any, str]]] = {
    "Bedrock, Titan writes": (BEDROCK, "/model/amazon.titan-text-express-v1/invoke", {"inputText": "Why?"}, "chat"),
    "Bedrock, a custom Titan writes": (
        BEDROCK, f"/model/{CUSTOM}/invoke", {"inputText": "Why?", "textGenerationConfig": {}}, "chat"
    ),
    "Bedrock, Llama by a profile": (BEDROCK, f"/model/{CUSTOM}/invoke", {"prompt": "Why?"}, "text_completion"),
    "Bedrock, Canvas": (
        BEDROCK, "/model/amazon.nova-canvas-v1%3A0/invoke", {"taskType": "TEXT_IMAGE", "textToImageParams": {}},
        "generate_content",
    ),
    "Bedrock, Canvas takes a background away": (
        BEDROCK, "/model/amazon.nova-canvas-v1%3A0/invoke", {"taskType": "BACKGROUND_REMOVAL"}, "generate_content"
    ),
    "Bedrock, Titan draws": (
        BEDROCK, "/model/amazon.titan-image-generator-v2%3A0/invoke", {"taskType": "TEXT_IMAGE"}, "generate_content"
    ),
    "Bedrock, Stability": (BEDROCK, "/model/stability.sd3-5-large-v1%3A0/invoke", {"prompt": "A fox"}, "generate_content"),
    "Bedrock, Stability by a profile": (BEDROCK, f"/model/{CUSTOM}/invoke", PICTURE, "generate_content"),
    "Bedrock, Stability's first": (
        BEDROCK, "/model/stability.stable-diffusion-xl-v1/invoke", {"text_prompts": [{"text": "A fox"}]},
        "generate_content",
    ),
    "Cloudflare writes": ("api.cloudflare.com", f"{_RUN}/@cf/meta/llama-4", {"prompt": "Why?"}, "text_completion"),
    "Cloudflare looks": (
        "api.cloudflare.com", f"{_RUN}/@cf/llava-hf/llava-1.5-7b", {"prompt": "Why?", "image": [1]}, "text_completion"
    ),
    "Cloudflare draws": (
        "api.cloudflare.com", f"{_RUN}/@cf/black-forest-labs/flux-1-schnell", {"prompt": "A fox"}, "generate_content"
    ),
    "Cloudflare speaks": ("api.cloudflare.com", f"{_RUN}/@cf/myshell-ai/melotts", {"prompt": "Hi"}, "generate_content"),
    "DashScope looks": (
        DASHSCOPE, f"{_AIGC}/multimodal-generation/generation", {"model": "qwen-vl-max", "input": {"messages": TURNS}},
        "chat",
    ),
    "DashScope draws": (
        DASHSCOPE, f"{_AIGC}/multimodal-generation/generation", {"model": "qwen-image", "input": {"messages": TURNS}},
        "generate_content",
    ),
    "DashScope speaks": (
        DASHSCOPE, f"{_AIGC}/multimodal-generation/generation",
        {"model": "qwen3-tts-flash", "input": {"text": "Hi", "voice": "Cherry"}}, "generate_content",
    ),
    "Replicate draws": (
        "api.replicate.com", "/v1/models/o/flux-dev/predictions", {"input": {"prompt": "x"}}, "generate_content"
    ),
    "Replicate speaks": (
        "api.replicate.com", "/v1/models/minimax/speech-02/predictions", {"input": {"text": "x"}}, "generate_content"
    ),
    "a server, TGI's path": ("tgi.acme.example", "/generate", {"inputs": "Why?"}, "text_completion"),
    "a server, its root writes": (
        "tgi.acme.example", "/", {"inputs": "Why?", "parameters": {"max_new_tokens": 9}}, "text_completion"
    ),
    "a server, its root streams": ("tgi.acme.example", "/", {"inputs": "Why?", "stream": False}, "text_completion"),
    "a server, its root draws": (
        "tgi.acme.example", "/", {"inputs": "A fox", "parameters": {"guidance_scale": 7}}, "generate_content"
    ),
}  # fmt: skip
"""What a model of a path for every kind makes, by its name or by its body."""


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_is_told_by_the_model_or_the_body(name: str) -> None:
    host, path, body, operation = MADE[name]
    found = asks(host, path, body, named=host.startswith("tgi."))
    assert found is not None
    assert found.operation == operation


WRITERS: Final = """
    anthropic.claude-sonnet-4-5-20250929-v1:0 us.anthropic.claude-opus-4-7 amazon.nova-pro-v1:0 amazon.nova-premier-v1:0
    amazon.titan-text-premier-v1:0 meta.llama4-maverick-17b-instruct-v1:0 mistral.pixtral-large-2502-v1:0
    cohere.command-r-plus-v1:0 ai21.jamba-1-5-large-v1:0 openai.gpt-oss-120b-1:0 deepseek.r1-v1:0 qwen.qwen3-32b-v1:0
    writer.palmyra-x5-v1:0 twelvelabs.pegasus-1-2-v1:0 minimax.minimax-m2 moonshot.kimi-k2-thinking google.gemma-3-27b
    nvidia.nemotron-nano-12b-v2 @cf/meta/llama-3.3-70b-instruct-fp8-fast @cf/qwen/qwq-32b @cf/llava-hf/llava-1.5-7b-hf
    @cf/defog/sqlcoder-7b-2 @cf/google/gemma-3-12b-it @hf/nousresearch/hermes-2-pro-mistral-7b qwen-max qwen-vl-max
    qwen-omni-turbo qwen-audio-turbo qwen3-coder-plus qvq-max deepseek-v3.2 glm-5 meta/meta-llama-3-70b-instruct
    stability-ai/stablelm-tuned-alpha-7b ibm-granite/granite-4.0 openai/gpt-5 anthropic/claude-4-sonnet google/gemini-3-pro
    snowflake/snowflake-arctic-instruct joehoover/instructblip-vicuna13b yorickvp/llava-13b
    """


@pytest.mark.parametrize("name", WRITERS.split())
def test_a_model_that_writes_is_taken_for_no_other(name: str) -> None:
    assert not answers_nobody(name)
    assert not makes_media(name)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": "x"},
        {"inputs": ["x", "y"]},
        {"inputs": "x", "normalize": True},
        {"inputs": "x", "parameters": {"candidate_labels": ["a"], "temperature": 1}},
        {"inputs": {"question": "x", "context": "y"}},
        {"query": "x", "texts": ["y"]},
    ],
)
def test_any_task_of_a_server_at_its_root_is_no_inference(body: Any) -> None:
    assert asks("tgi.acme.example", "/", body, named=True) is None


@pytest.mark.parametrize("name", [each for each in MADE if "Bedrock" in each])
def test_a_picture_that_anybody_makes_is_none(name: str) -> None:
    _, path, body, operation = MADE[name]
    if operation == "generate_content":
        assert asks(ANYBODY, path, body) is None


PRODUCTS: Final[dict[str, tuple[str, Any]]] = {
    "a chat": ("/messages", {"messages": TURNS}),
    "a chat with a channel": ("/channels/1/messages", {"content": "hi", "model": "m"}),
    "a chat that speaks of models": ("/api/messages", {"model": "phone-12", "messages": [{"text": "hi"}]}),
    "a message": ("/v1/messages", {"to": "+49", "from": "+1", "text": "hi"}),
    "a message like Claude's without a length": ("/v1/messages", CHAT),
    "a chat's own path": ("/chat", CHAT),
    "a chat's own path, with a version": ("/v1/chat", {"model": "m", "message": "hi"}),
    "a front end": ("/api/chat", {"id": "1", "messages": TURNS, "trigger": "submit-message"}),
    "a form": ("/forms/7/responses", ASKED),
    "a form's own path": ("/responses", ASKED),
    "search completions": ("/completions", {"prefix": "wh", "model": "m"}),
    "a generator": ("/generate", WRITTEN),
    "a generator, with a version": ("/v1/generate", WRITTEN),
    "a completion": ("/completion", WRITTEN),
    "predictions": ("/predictions", ASKED),
    "predictions of a product": ("/models/a/b/predictions", ASKED),
    "invocations": ("/invocations", CHAT),
    "the root": ("/", {"inputs": "Why?", "model": "m"}),
    "the root, asked like a chat": ("/", CHAT),
    "GraphQL": ("/graphql", CHAT),
    "interactions": ("/v1/interactions", ASKED),
    "turns that are none": ("/v1/chat/completions", {"model": "m", "messages": ["hi"]}),
    "no turns": ("/v1/chat/completions", {"model": "m", "messages": []}),
    "a model that is no name": ("/v1/chat/completions", {"model": 7, "messages": TURNS}),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_anybodys_product_is_no_call(name: str) -> None:
    path, body = PRODUCTS[name]
    assert asks(ANYBODY, path, body) is None
    assert asks("api.openai.com.evil.example", path, body) is None


@pytest.mark.parametrize(
    ("path", "body", "dialect"),
    [
        ("/", {"inputs": "Why?", "stream": False}, "tgi"), ("/generate", {"inputs": "Why?"}, "tgi"),
        ("/generate_stream", {"inputs": "Why?"}, "tgi"), ("/completion", {"prompt": "Why?"}, "llama_cpp"),
        ("/predictions", {"input": {"prompt": "Why?"}}, "replicate"), ("/invocations", CHAT, "chat_completions"),
        ("/responses", ASKED, "responses"), ("/chat", CHAT, "cohere"), ("/chat", {"message": "Why?"}, "cohere_1"),
        ("/api/v1/chat", ASKED, "lm_studio"), ("/v1/chat", {"message": "Why?"}, "cohere_1"),
        ("/llm/v1/generate", {"prompt": "Why?"}, "cohere_1"),
    ],
)  # fmt: skip
def test_a_path_that_is_anybodys_asks_on_a_host_that_the_user_named(path: str, body: Any, dialect: str) -> None:
    found = asks(ANYBODY, path, body, named=True)
    assert found is not None
    assert found.dialect == dialect
    assert asks(ANYBODY, path, body) is None
    assert asks(ANYBODY, path, {"title": "x"}, named=True) is None


@pytest.mark.parametrize("host", sorted(GATEWAYS))
def test_a_gateway_is_asked_like_a_host_that_is_named_but_for_paths_that_are_anybodys(host: str) -> None:
    assert asks(host, "/v1/chat/completions", {"messages": TURNS}) is not None
    assert asks(host, "/v1/chat/completions", None) is not None
    assert asks(host, "/generate", {"inputs": "Why?"}) is None


def test_a_host_that_a_chain_has_named_before_is_known() -> None:
    assert asks(ANYBODY, "/v1/chat/completions", None, known=True) is not None
    assert asks(ANYBODY, "/v1/chat", {"message": "Why?"}, known=True) is not None
    assert asks(ANYBODY, "/v1/chat/completions", {"title": "x"}, known=True) is None
    assert asks(ANYBODY, "/generate", {"inputs": "Why?"}, known=True) is None


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/html", ""]
)
def test_what_is_no_json_is_no_inference(kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    assert asks(OPENAI, "/v1/chat/completions", b"--x\r\nmodel=m", headers=headers) is None
    assert asks(OPENAI, "/v1/chat/completions", None, headers=headers) is None
    assert asks(OPENAI, "/v1/chat/completions", CHAT, headers=headers) is not None, "as `requests` sends a text"


# --- streams ----------------------------------------------------------------------------------------------------------

VERSIONED: Final = "/v1beta/models/g"


@pytest.mark.parametrize(
    ("host", "path", "body", "headers", "streamed"),
    [
        (OPENAI, "/v1/chat/completions", {**CHAT, "stream": True}, {}, True),
        (OPENAI, "/v1/chat/completions", {**CHAT, "stream": False}, {}, False),
        (OPENAI, "/v1/chat/completions", CHAT, {}, False),
        (OPENAI, "/v1/chat/completions", None, {}, False),
        (OPENAI, "/v1/chat/completions", None, {"accept": "text/event-stream"}, True),
        ("localhost", "/api/chat", CHAT, {}, True),
        ("localhost", "/api/generate", {**WRITTEN, "stream": True}, {}, True),
        ("localhost", "/api/chat", {**CHAT, "stream": False}, {}, False),
        (GOOGLE, f"{VERSIONED}:generateContent", CONTENTS, {}, False),
        (GOOGLE, f"{VERSIONED}:streamGenerateContent", CONTENTS, {}, True),
        (VERTEX, f"{_PUBLISHED}/anthropic/models/c:streamRawPredict", CLAUDE, {}, True),
        (BEDROCK, "/model/m/converse", {**CONVERSED, "stream": True}, {}, False),
        (BEDROCK, "/model/m/converse-stream", CONVERSED, {}, True),
        (BEDROCK, "/model/m/invoke-with-response-stream", CHAT, {}, True),
        ("eu-de.ml.cloud.ibm.com", "/ml/v1/text/chat_stream", CHAT, {}, True),
        ("eu-de.ml.cloud.ibm.com", "/ml/v1/text/generation_stream", ASKED, {}, True),
        ("dashscope.aliyuncs.com", "/api/v1/services/aigc/text-generation/generation", TURNED, {"x-dashscope-sse": "enable"}, True),
        ("dashscope.aliyuncs.com", "/api/v1/services/aigc/text-generation/generation", {**TURNED, "stream": True}, {}, False),
    ],
)  # fmt: skip
def test_whether_a_stream_was_asked_for(
    host: str, path: str, body: Any, headers: dict[str, str], *, streamed: bool
) -> None:
    found = asks(host, path, body, headers={**JSON, **headers})
    assert found is not None
    assert found.streamed is streamed


# --- long bodies ------------------------------------------------------------------------------------------------------

LONG: Final = [{"role": "user", "content": 'so long, "model":"no-1" and \\ ' * 40_000}]
DECOY: Final = [{"role": "assistant", "tool_calls": [{"arguments": {"model": "no-2", "stream": True}}]}, *LONG]
LONGS: Final[dict[str, dict[str, Any]]] = {
    "the model last": {"messages": LONG, "model": "m-1", "stream": True},
    "the model first": {"model": "m-1", "stream": True, "messages": LONG},
    "a model further down, at the start": {"messages": DECOY, "model": "m-1", "stream": True},
    "a model further down, at the end": {"model": "m-1", "stream": True, "messages": [*LONG, *DECOY[:1]]},
    "much behind the model": {"messages": LONG, "model": "m-1", "stream": True, "tools": [{"name": "n" * 9000}]},
}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("name", LONGS)
def test_of_a_long_body_the_model_is_sought_at_its_ends(name: str, separators: tuple[str, str]) -> None:
    content = json.dumps(LONGS[name], separators=separators).encode()
    assert len(content) > 1_000_000
    found = asks(ANYBODY, "/v1/chat/completions", content)
    assert found == Inference("chat_completions", "chat", "m-1", True, "/v1", None)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [*LONG, *DECOY[:1]]},
        {"a": LONG, "messages": LONG, "model": "m-1", "z": LONG},
        {"messages": DECOY},
        {"a": {"model": "no", "messages": 1}, "messages": LONG},
    ],
)
def test_a_model_that_is_not_found_is_none_of_anybodys(body: Any) -> None:
    """It stands in a message's text, in a tool's arguments, or out of sight."""
    assert asks(ANYBODY, "/v1/chat/completions", body) is None
    found = asks(OPENAI, "/v1/chat/completions", body)
    assert found is not None
    assert found.model == ""


SCALARS: Final = st.text(max_size=20) | st.booleans() | st.none() | st.integers() | st.floats(allow_nan=False)
VALUES: Final = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "a", '"', "\\"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=4), st.lists(VALUES, max_size=4), st.booleans(), st.booleans())
def test_the_top_of_a_long_body_is_what_a_parser_finds_there(
    before: list[Any], after: list[Any], ascii_only: bool, first: bool
) -> None:
    filler = {"filler": 'x"model":"no"\\' * 6000}
    body: dict[str, Any] = {f"b{place}": value for place, value in enumerate(before)}
    body |= (
        {**filler, "model": "m-1", "messages": TURNS} if not first else {"model": "m-1", "messages": TURNS, **filler}
    )
    body |= {f"a{place}": value for place, value in enumerate(after)}
    content = json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = asks(ANYBODY, "/v1/chat/completions", content)
    assert found is not None
    assert found.model == "m-1"


# --- whatever comes ---------------------------------------------------------------------------------------------------


@given(
    st.sampled_from([row.path for row in ROWS.values()]) | st.text(max_size=40),
    st.binary(max_size=200)
    | st.none()
    | st.recursive(SCALARS, st.lists, max_leaves=4).map(lambda each: json.dumps(each).encode()),
    st.booleans(),
    st.booleans(),
)
def test_nothing_that_is_sent_can_break_it(path: str, content: bytes | None, known: bool, named: bool) -> None:
    host = OPENAI if known else ANYBODY
    is_inference_path(host, path)
    found = inference_in(host, path, "", JSON, content, is_known=known, is_named=named)
    assert found is None or isinstance(found.model, str)


@given(
    st.dictionaries(
        st.sampled_from(["model", "messages", "input", "prompt", "contents", "max_tokens", "stream"]), VALUES
    )
)
def test_no_body_can_break_it(body: dict[str, Any]) -> None:
    for row in ROWS.values():
        found = asks(row.host, row.path, body)
        assert found is None or isinstance(found.model, str)


def test_any_other_request_of_the_process_costs_a_few_comparisons() -> None:
    """Measured against a plain call of a function, in windows so short that a busy machine leaves some of them alone."""

    def nothing(host: str, path: str) -> bool:
        return host == path

    def seconds(function: Any) -> float:
        started = time.perf_counter()
        for _ in range(100):
            function("api.acme.example", "/v1/orders/8123/items")
        return time.perf_counter() - started

    assert min(seconds(is_inference_path) for _ in range(300)) < 30 * min(seconds(nothing) for _ in range(300))
