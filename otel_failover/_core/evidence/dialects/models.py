"""What a model makes, where a path asks models of every kind: by its name, and by what its body has in it.

Bedrock's `/invoke`, Cloudflare's `/ai/run`, DashScope's and Replicate's paths, and a server of Hugging Face's at its
root take models that write, that draw or speak, and that answer nobody: vectors, rankings, transcripts.
"""

# Without `from __future__ import annotations`, as `paths`: both are read at the first request.

from collections.abc import Mapping
from typing import Any, Final

from otel_failover._core.evidence.dialects import paths
from otel_failover._core.evidence.dialects.paths import Shape
from otel_failover._core.text.escapes import compiled

OF_EVERY_KIND: Final = frozenset({paths.INVOKE, paths.CLOUDFLARE, paths.DASHSCOPE, paths.REPLICATE, paths.TGI})
"""Dialects by whose paths models of every kind are asked."""

_NO_ANSWER: Final = (
    r"(?i)embed|rerank|moderation|bge-|gte-large|marengo|mpnet|minilm"
    r"|(?<![a-z])(?:asr|clip|e5|m2m100|paraformer|sensevoice|transcribe|whisper)(?![a-z])"
)
"""Models that answer nothing, by the paths by which others do."""
_MEDIA: Final = (
    r"(?i)stability\.|stable-diffusion|stable-image|dreamshaper|animatediff|musicgen|(?<![a-z])(?:aura|bark|canvas|cosyvoice|flux"
    r"|ideogram|image|imagen|imagine|kandinsky|kling|luma|lucid|melotts|music|nano-banana|phoenix|photon|recraft|reel"
    r"|sambert|sana|sd3|sdxl|seedance|seedream|sora|speech|t2i|t2v|i2v|tts|veo|video|wan|xtts)(?![a-z])"
)
"""Models that draw, film or speak."""
_MEDIA_KEYS: Final = frozenset(
    {
        "aspect_ratio", "cfg_scale", "guidance", "guidance_scale", "imageGenerationConfig", "negative_prompt",
        "num_inference_steps", "num_outputs", "num_steps", "style_preset", "textToImageParams", "text_prompts",
        "textToVideoParams", "voice",
    }
)  # fmt: skip
"""What only a model that draws, films or speaks is told."""
_WRITES: Final = frozenset(
    {
        "adapter_id", "best_of", "decoder_input_details", "details", "do_sample", "grammar", "max_new_tokens",
        "repetition_penalty", "return_full_text", "stop", "temperature", "top_k", "top_n_tokens", "top_p", "typical_p",
        "watermark",
    }
)  # fmt: skip
"""What only a model that writes is told by a server of Hugging Face's."""


def answers_nobody(model: str) -> bool:
    """Whether a model makes vectors, rankings or transcripts.

    Args:
        model: Its name, or an ARN that has it.
    """
    return compiled(_NO_ANSWER).search(model) is not None


def makes_media(model: str) -> bool:
    """Whether a model draws, films or speaks.

    Args:
        model: Its name, or an ARN that has it.
    """
    return compiled(_MEDIA).search(model) is not None


def operation_of(shape: Shape, path: str, seen: Mapping[str, Any], model: str) -> str | None:
    """Return what a model of a path for every kind is asked to do; None for what is no inference, or cannot be told.

    Args:
        shape: Of the path.
        path: As it is sent, without the query.
        seen: The keys at the body's top, with their values; True for a value that is too long to be read.
        model: As requested; empty where it cannot be found.
    """
    if answers_nobody(model):
        return None
    inner = seen.get("parameters" if shape.dialect == paths.TGI else "input")
    said = inner if isinstance(inner, Mapping) else {}
    if makes_media(model) or not _MEDIA_KEYS.isdisjoint(seen) or not _MEDIA_KEYS.isdisjoint(said):
        return paths.CONTENT
    if shape.dialect == paths.INVOKE:
        return shape.operation if _writes(seen, model) else None
    if shape.dialect == paths.TGI:
        return shape.operation if _is_text_generation(shape, path, seen, said) else None
    if shape.dialect in (paths.DASHSCOPE, paths.REPLICATE) and inner is not True:
        return shape.operation if said.get("messages") or said.get("prompt") else None
    return shape.operation


def _writes(seen: Mapping[str, Any], model: str) -> bool:
    """Whether an invoked model writes: Titan's that do and those that make vectors are asked by the same key."""
    if "taskType" in seen:
        return False
    is_titans = "inputText" in seen and "messages" not in seen and "prompt" not in seen
    return not is_titans or "textGenerationConfig" in seen or "titan-t" in model


def _is_text_generation(shape: Shape, path: str, seen: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether a server of Hugging Face's is asked to write: at its root there may be any task's model."""
    if not isinstance(seen.get("inputs"), (str, bool)) or "candidate_labels" in told:
        return False
    return path.rstrip("/") != shape.base or "stream" in seen or not _WRITES.isdisjoint(told)
