"""Frameworks that have a fallback loop of their own which is not patched: their calls are seen, their passes are not.

Found by reading their releases of November 2026: which function is one pass, and what turns the loop on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from otel_failover.integrations.patching import installed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_failover._core.config.loop import Loop


class Framework(NamedTuple):
    """One that is not patched.

    Args:
        distribution: On PyPI.
        feature: What turns its loop on.
        run: The function that is one pass, as `loops` has it; empty where none is.
    """

    distribution: str
    feature: str
    run: str = ""


_MLFLOW: Final = "mlflow.gateway.providers.base"
_PARLANT: Final = "parlant.core.nlp.generation"
_NANOBOT: Final = "nanobot.providers.fallback_provider"

FRAMEWORKS: Final = (
    Framework("browser-use", "fallback_llm", "browser_use.agent.service:Agent.get_model_output"),
    Framework("mlflow", "the gateway's fallbacks", f"{_MLFLOW}:FallbackProvider._execute_with_fallback"),
    Framework("openhands-sdk", "FallbackStrategy", "openhands.sdk.llm.fallback_strategy:FallbackStrategy.try_fallback"),
    Framework("hermes-agent", "its fallback chain", "agent.conversation_loop:run_conversation"),
    Framework("agentscope", "ModelConfig.fallback_model", "agentscope.agent._agent:Agent._call_model"),
    Framework("swarms", "fallback_models", "swarms.structs.agent:Agent.run"),
    Framework("pipecat-ai", "ServiceSwitcherStrategyFailover"),
    Framework("mirascope", "fallback_models", "mirascope.llm.retries.utils:with_retry"),
    Framework("parlant", "FallbackSchematicGenerator", f"{_PARLANT}:FallbackSchematicGenerator.generate"),
    Framework("nanobot-ai", "FallbackProvider", f"{_NANOBOT}:FallbackProvider._try_with_fallback"),
    Framework("cognee", "fallback_model"),
    Framework("langflow-base", "the assistant's models"),
    Framework("claude-agent-sdk", "fallback_model, whose loop runs in its command line's process"),
)


def told(loops: Iterable[Loop]) -> Iterator[str]:
    """Yield what to do about each that is installed, and that no configured loop stands for.

    Args:
        loops: That are configured.
    """
    packages = {str(loop.run).partition(":")[0].partition(".")[0] for loop in loops}
    for each in FRAMEWORKS:
        version = installed(each.distribution)
        if version is None or each.run.partition(".")[0] in packages - {""}:
            continue
        name = f"{each.distribution} {version}"
        if not each.run:
            yield (
                f"{name}: its fallback loop ({each.feature}) is not recognised: its calls are seen where they are made "
                "in this process; failover_run around what starts it makes one run of them"
            )
            continue
        yield (
            f"{name}: its fallback loop ({each.feature}) is not patched: its calls are seen, and one run of them where "
            f'the question is the same. If it is used: OTEL_FAILOVER_LOOPS=\'[{{"run": "{each.run}"}}]\''
        )
