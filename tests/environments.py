"""The environments that CI makes: what is installed in each, and which tests are run there.

Plain data. `noxfile.py` makes one session of each, and the support table of the README is compared with `pinned`.

To add an end of a library's range: a line in `ENDS`, or a part of one, where libraries agree on what they need. A test
skips where its library is not installed, so that the suite runs anywhere; but what stands under `modules` has to be
there, or its tests fail instead (`FAILOVER_MUST_HAVE`, read by `conftest.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Environment:
    """One environment, and what is run in it.

    Args:
        name: Of the session: `nox -s "ends(<name>)"`.
        modules: What must be importable. Their tests are run, unless `tests` says which.
        installed: What is asked for besides this package: requirements, separated by blanks.
        tests: Files of `tests/`, in this order: some neighbours cannot be turned on twice.
    """

    name: str
    modules: str
    installed: str
    tests: str = ""

    def paths(self) -> list[str]:
        """Return the files of `tests/` that are run here, as pytest is asked for them."""
        named = self.tests.split() or sorted({each for name in self.modules.split() for each in tests_of(name)})
        return [f"tests/{each}.py" for each in named]


def tests_of(module: str) -> list[str]:
    """Return the tests that need a module: files of `tests/`, without their ending."""
    return TESTS_OF.get(module, "").split()


def pinned() -> set[tuple[str, str]]:
    """Return the releases that some environment asks for by `==`: distribution and version."""
    asked = " ".join([OLDEST, *(each.installed for each in (*ENDS, *BESIDE))]).split()
    pins = (re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", each) for each in asked)
    return {(pin[1], pin[2]) for pin in pins if pin is not None}


_WRAPPERS: Final = "integrations/loops/test_wrappers"
TESTS_OF: Final = {
    "pydantic_ai": f"""integrations/loops/pydantic_ai/test_pydantic_ai integrations/loops/pydantic_ai/test_same
        integrations/loops/pydantic_ai/test_traces core/summary/test_libraries {_WRAPPERS}""",
    "google.genai": "integrations/providers/test_google_genai",
    "aiohttp": "integrations/transports/test_aiohttp",
    "httpx2": "integrations/transports/test_httpx",
    "litellm": f"""integrations/loops/litellm/test_litellm integrations/loops/litellm/test_ends
        integrations/loops/litellm/test_groups integrations/loops/litellm/test_callback_v2 integrations/loops/litellm/test_endpoints
        core/summary/test_libraries core/summary/test_loops {_WRAPPERS}""",
    "livekit": f"integrations/loops/test_livekit core/summary/test_loops {_WRAPPERS}",
    "haystack": f"integrations/loops/test_haystack core/summary/test_libraries core/summary/test_loops {_WRAPPERS}",
    "agno": f"integrations/loops/test_agno core/summary/test_loops {_WRAPPERS}",
    "langchain_core": f"integrations/loops/langchain/test_runnables core/summary/test_loops {_WRAPPERS}",
    "langchain_openai": "core/summary/test_libraries",
    "langchain": f"integrations/loops/langchain/test_agents core/summary/test_loops {_WRAPPERS}",
    "strands": f"integrations/loops/strands/test_strands core/summary/test_loops {_WRAPPERS}",
    "botocore": """core/evidence/test_sentences core/runs/test_base_urls integrations/providers/test_bedrock
        integrations/transports/test_botocore""",
    "requests": "integrations/transports/test_requests",
    "urllib3": "integrations/transports/test_urllib3",
    "google.adk": f"integrations/loops/google_adk/test_google_adk core/summary/test_loops {_WRAPPERS}",
    "openinference.instrumentation.langchain": "integrations/loops/langchain/test_beside",
    "agents": "host/frameworks/test_openai_agents",
    "autogen_agentchat": "host/frameworks/test_autogen",
    "browser_use": "host/frameworks/test_browser_use",
    "celery": "host/frameworks/servers/test_celery",
    # LangGraph's loops are of this set, not of the old releases that LangChain's own tests are run with:
    "crewai": "host/frameworks/test_crewai host/frameworks/test_langgraph",
    "fastapi": "host/frameworks/servers/test_fastapi",
    "flask": "host/frameworks/servers/test_flask",
    "gunicorn": "cli/doctor/test_workers",
    "instructor": "host/frameworks/test_instructor",
    "llama_index": "host/frameworks/test_llama_index",
    "smolagents": "host/frameworks/test_smolagents",
    "groq": "integrations/providers/test_by_wire",
}

# --- which releases were taken ---------------------------------------------------------------------------------------

LIBRARIES: Final = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google_genai": "google-genai",
    "pydantic_ai": "pydantic-ai-slim",
    "litellm": "litellm",
    "langchain_core": "langchain-core",
    "langchain": "langchain",
    "haystack": "haystack-ai",
    "agno": "agno",
    "google_adk": "google-adk",
    "strands": "strands-agents",
    "livekit": "livekit-agents",
    "httpx": "httpx",
    "httpx2": "httpx2",
    "aiohttp": "aiohttp",
    "botocore": "botocore",
    "requests": "requests",
    "urllib3": "urllib3",
}
"""What is patched, by its distribution: `.ci/run` says at its end of which of them it had the newest release there is."""

# --- both ends of every range -----------------------------------------------------------------------------------------

BASE: Final = ".[otlp] openai anthropic rich jsonschema pytest>=8.3 hypothesis>=6.100"
"""What each environment of `ENDS` and `BESIDE` has besides its own."""

# Older releases import with newer SDKs, and cannot make a model of them:
_SDKS = "openai<3 anthropic<1"
# pydantic-ai 1.0 also imports what later releases of the API have moved:
_THEN = """openai==1.109.1 anthropic==0.69.0 opentelemetry-sdk==1.37.0 opentelemetry-exporter-otlp==1.37.0
    opentelemetry-instrumentation==0.58b0"""
_LITELLM = "integrations/loops/litellm"
_OF_LANGCHAIN = "langchain langchain_core langchain_openai langchain_anthropic langgraph"

ENDS: Final = (
    # Both ends of every other library's range, and what lies between where a library was rebuilt there: the same tests
    # in each release. Libraries that agree on what they need share an environment.
    Environment("pydantic_1_0", "pydantic_ai", f"pydantic-ai-slim[openai,anthropic]==1.0.0 {_THEN}"),
    Environment("google_1_60", "google.genai aiohttp", "google-genai==1.60.0 aiohttp==3.10.11"),
    Environment(
        "pydantic_1_107",
        "pydantic_ai httpx2",
        f"pydantic-ai-slim[openai,anthropic]==1.107.0 httpx2==2.12.0 {_SDKS}",
    ),
    Environment("google_no_aiohttp", "google.genai", "google-genai>=3 httpx"),
    Environment("pydantic_2_2", "pydantic_ai", f"pydantic-ai-slim[openai,anthropic]==2.2.0 {_SDKS}"),
    Environment(
        "litellm_1_70_livekit_1_0",
        "litellm livekit",
        """litellm==1.70.4 livekit-agents==1.0.2 livekit-plugins-openai==1.0.2 livekit-plugins-anthropic==1.0.2
        openai==1.109.1 anthropic==0.69.0""",
    ),
    # 1.109 is the last release whose loop is Python's, and has all tests; 1.108's loop is the same, its streams differ.
    Environment("litellm_1_108", "litellm", "litellm==1.108.14", f"{_LITELLM}/test_litellm {_LITELLM}/test_ends"),
    Environment("litellm_1_109", "litellm", "litellm==1.109.3"),
    # What differs by the SDK's release is how it is asked, and how it streams.
    Environment(
        "litellm_newest_openai_2",
        "litellm",
        "litellm openai==2.54.0",
        f"{_LITELLM}/test_litellm {_LITELLM}/test_endpoints",
    ),
    Environment("litellm_newest", "litellm", "litellm"),
    Environment(
        "litellm_proxy",
        "litellm fastapi uvicorn soundfile opentelemetry.distro",
        """litellm opentelemetry-distro gunicorn uvicorn uvloop fastapi starlette backoff pyyaml rq orjson apscheduler
        fastapi-sso pyjwt python-multipart cryptography pynacl websockets boto3 azure-identity mcp restrictedpython
        tomlkit soundfile expression semver backports-zstd polars azure-storage-blob granian hiredis httpx2""",
        "integrations/loops/litellm/test_proxy integrations/loops/litellm/test_endpoints",
    ),
    Environment(
        "haystack_2_agno_2_core_0_3",
        "haystack agno langchain_core langchain_openai langchain_anthropic",
        f"""haystack-ai==2.19.0 agno==2.6.0 langchain-core==0.3.0 langchain-openai==0.2.0 langchain-anthropic==0.2.0
        {_SDKS}""",
    ),
    Environment(
        "langchain_1_0_botocore_1_35",
        f"{_OF_LANGCHAIN} botocore requests urllib3",
        f"""langchain==1.0.0 langchain-core==1.0.0 langchain-openai==1.0.0 langchain-anthropic==1.0.0 langgraph==1.0.0
        langgraph-checkpoint<3 langgraph-prebuilt==1.0.0 botocore==1.35.0 requests==2.31.0 urllib3==1.26.18 {_SDKS}""",
    ),
    Environment(
        "haystack_newest",
        "haystack haystack_integrations agno openinference",
        """haystack-ai opentelemetry-haystack agno openinference-instrumentation-haystack
        openinference-instrumentation-agno""",
    ),
    Environment(
        "langchain_newest",
        f"{_OF_LANGCHAIN} botocore requests urllib3 openinference.instrumentation.langchain opentelemetry.instrumentation",
        """langchain langchain-openai langchain-anthropic langgraph botocore requests
        openinference-instrumentation-langchain opentelemetry-instrumentation-langchain
        opentelemetry-instrumentation-botocore""",
    ),
    # Loops by hand inside frameworks and servers that have none of their own; two sets, by which SDKs they agree on.
    Environment(
        "frameworks",
        "crewai llama_index instructor autogen_agentchat langgraph agents smolagents openinference",
        """crewai[anthropic]>=1.15 llama-index-core llama-index-llms-openai llama-index-llms-anthropic
        llama-index-embeddings-openai instructor autogen-agentchat autogen-ext[openai,anthropic] langgraph
        langchain-openai langchain-anthropic openai-agents smolagents openinference-instrumentation-openai-agents
        openinference-instrumentation-crewai openinference-instrumentation-llama-index
        openinference-instrumentation-instructor openinference-instrumentation-smolagents
        openinference-instrumentation-autogen-agentchat openinference-instrumentation-langchain""",
    ),
    Environment(
        "servers",
        "fastapi uvicorn flask gunicorn celery browser_use agents opentelemetry.distro",
        """fastapi uvicorn flask gunicorn celery tenacity browser-use>=0.13 openai-agents>=0.24
        opentelemetry-distro opentelemetry-instrumentation-fastapi opentelemetry-instrumentation-flask
        opentelemetry-instrumentation-celery opentelemetry-instrumentation-threading""",
    ),
    Environment(
        "by_wire_oldest",
        """mistralai cohere groq together ollama huggingface_hub fireworks cerebras perplexity sambanova zai dashscope
        portkey_ai azure zhipuai httpx requests aiohttp""",
        # openrouter's oldest needs httpx 0.28.
        """mistralai==1.0.0 cohere==5.11.0 groq==0.13.0 together==1.3.3 ollama==0.2.0 huggingface_hub==0.28.0
        fireworks-ai==1.2.0 cerebras-cloud-sdk==1.0.0 perplexityai==0.13.0 sambanova==1.1.0 zai-sdk==0.0.2
        dashscope==1.20.0 portkey-ai==1.10.0 azure-ai-inference==1.0.0b5 zhipuai==2.1.0 httpx==0.27.0 requests==2.31.0
        aiohttp==3.10.11 urllib3<2 openai==1.66.0 pydantic<2.9""",
        "integrations/providers/test_by_wire",
    ),
    Environment(
        "by_wire_newest",
        """mistralai cohere groq together ollama huggingface_hub fireworks cerebras perplexity sambanova openrouter zai
        dashscope portkey_ai azure aiobotocore httpx httpx2 requests aiohttp""",
        """mistralai cohere groq together ollama huggingface_hub fireworks-ai cerebras-cloud-sdk perplexityai sambanova
        openrouter zai-sdk dashscope portkey-ai azure-ai-inference aiobotocore httpx httpx2 requests aiohttp""",
        "integrations/providers/test_by_wire",
    ),
    # Tried in every case that loops get wrong: the documents' table names these releases. To take others:
    # `python -m tests.testing.scenarios.libraries` makes it again.
    Environment(
        "loops_tried",
        "pydantic_ai litellm langchain_core langchain_openai langchain_anthropic",
        """pydantic-ai-slim[openai,anthropic]==2.68.0 litellm==1.110.2 langchain-core==1.8.3 langchain-openai==1.7.4
        langchain-anthropic==1.7.10 openai==3.57.0 anthropic==2.14.0""",
        "testing/scenarios/test_libraries",
    ),
    Environment("livekit_newest", "livekit", "livekit-agents livekit-plugins-openai livekit-plugins-anthropic"),
    Environment("adk_2_9_strands_1_53", "google.adk strands", "google-adk==2.9.0 strands-agents==1.53.0"),
    Environment("adk_newest_strands_newest", "google.adk google.genai strands", "google-adk>=2.9 strands-agents>=1.53"),
)

# --- neighbours -------------------------------------------------------------------------------------------------------

# Honest traces beside the neighbours, a family at a time: a false alarm fails. No installer finds a set of theirs by
# itself.
_THEIRS = """openinference-instrumentation-openai==0.1.66 openinference-instrumentation-anthropic==3.1.0
    opentelemetry-instrumentation-openai==0.62.4 opentelemetry-instrumentation-anthropic==0.62.4
    opentelemetry-instrumentation-genai-openai==1.3b0 opentelemetry-instrumentation-genai-anthropic==1.3b0"""
_FAMILIES = "openinference opentelemetry.instrumentation.genai.openai opentelemetry.instrumentation.openai"
_SDKS_TESTS = """beside/providers/test_openai beside/providers/test_anthropic beside/providers/test_google_genai
    beside/providers/test_bedrock beside/loops/test_pydantic_ai beside/providers/test_first beside/providers/test_lies"""

_SHARES = "truth/test_verified"
# Every loop is in one of these: what share of its honest failures is verified is counted there, beside nobody.

BESIDE: Final = (
    Environment(
        "sdks",
        f"google.genai boto3 pydantic_ai {_FAMILIES}",
        f"""{_THEIRS} openai==3.54.0 anthropic==2.12.0 google-genai==2.34.0 boto3==1.44.5 aiohttp
        pydantic-ai-slim[openai,anthropic,google,bedrock]==2.68.0
        openinference-instrumentation-google-genai==1.4.14 openinference-instrumentation-bedrock==0.1.61
        openinference-instrumentation-pydantic-ai==0.1.30 opentelemetry-instrumentation-bedrock==0.62.4
        opentelemetry-instrumentation-google-generativeai==0.62.4 opentelemetry-instrumentation-google-genai==1.3b0
        opentelemetry-instrumentation-httpx==0.66b1 opentelemetry-instrumentation-requests==0.66b1
        opentelemetry-instrumentation-botocore==0.66b1 opentelemetry-instrumentation-aiohttp-client==0.66b1""",
        f"{_SDKS_TESTS} {_SHARES}",
    ),
    Environment(
        "logfire",
        "google.genai boto3 pydantic_ai logfire",
        "logfire[httpx]>=5 httpx google-genai boto3 aiohttp pydantic-ai-slim[openai,anthropic,google,bedrock]>=2",
        _SDKS_TESTS,
    ),
    Environment(
        "agents",
        f"langchain haystack agno strands livekit logfire {_FAMILIES}",
        f"""{_THEIRS} httpx logfire==5.2.0 openai==3.54.0 anthropic==1.17.0 langchain==1.4.7 langchain-core==1.7.2
        langchain-openai==1.7.3 langchain-anthropic==1.7.7 haystack-ai==3.4.0 opentelemetry-haystack==2.0.0 agno==3.1.10
        strands-agents==1.62.0 livekit-agents==1.8.9 livekit-plugins-openai==1.8.9 livekit-plugins-anthropic==1.8.9
        openinference-instrumentation-langchain==0.1.80 openinference-instrumentation-haystack==0.1.46
        openinference-instrumentation-agno==1.0.15 opentelemetry-instrumentation-langchain==0.62.4
        opentelemetry-instrumentation-agno==0.62.4 opentelemetry-instrumentation-genai-langchain==1.3b0
        opentelemetry-instrumentation-httpx==0.66b1 opentelemetry-instrumentation-aiohttp-client==0.66b1
        opentelemetry-instrumentation-threading==0.66b1 opentelemetry-instrumentation==0.66b1
        opentelemetry-sdk==1.45.1 opentelemetry-exporter-otlp==1.45.1""",
        f"""beside/loops/test_langchain beside/loops/test_haystack beside/loops/test_agno beside/loops/test_strands
        beside/loops/test_livekit {_SHARES}""",
    ),
    Environment(
        "google",
        f"litellm google.adk logfire {_FAMILIES}",
        f"""{_THEIRS} httpx logfire==5.2.0 litellm==1.106.2 google-adk==2.13.0 google-genai==2.34.0 openai==2.54.0
        anthropic==2.12.0 aiohttp openinference-instrumentation-litellm==0.1.51
        openinference-instrumentation-google-adk==1.0.5 openinference-instrumentation-google-genai==1.4.14
        opentelemetry-instrumentation-google-genai==1.3b0 opentelemetry-instrumentation-google-generativeai==0.62.4
        opentelemetry-instrumentation-httpx==0.65b0 opentelemetry-instrumentation-aiohttp-client==0.65b0
        opentelemetry-instrumentation==0.65b0 opentelemetry-sdk==1.44.0 opentelemetry-exporter-otlp==1.44.0""",
        f"beside/loops/test_litellm beside/loops/test_google_adk {_SHARES}",
    ),
)

COEXISTENCE: Final = Environment(
    "coexistence",
    "logfire",
    """.[test] opentelemetry-instrumentation-genai-anthropic openinference-instrumentation-google-genai logfire""",
    "host/test_coexistence integrations/loops/pydantic_ai/test_beside integrations/providers/test_google_genai",
)
"""The adapters' own tests beside instrumentations that the extra `test` does not bring."""

ZERO_CODE: Final = Environment(
    "zero_code",
    "opentelemetry.distro",
    ".[demo] opentelemetry-distro httpx pytest>=8.3",
    "host/test_zero_code cli/doctor/test_telemetry cli/live/test_exporter cli/watch/test_command docs/test_commands",
)
"""`opentelemetry-instrument`, beside no other instrumentation."""

# --- the oldest releases ----------------------------------------------------------------------------------------------

OLDEST: Final = """opentelemetry-api==1.30.0 opentelemetry-sdk==1.30.0 opentelemetry-instrumentation==0.51b0
    opentelemetry-exporter-otlp==1.30.0 openai==1.66.0 anthropic==0.49.0 httpx==0.25.0 rich==13.7.0
    wrapt==1.14.0 packaging==18.0 pytest>=8.3 hypothesis>=6.100 ."""

LEFT_OUT: Final = {
    "before SDK 1.40 spans of others are not annotated; their markers are": [
        "core/runs/inferred/test_traces.py::test_a_stale_error_is_found_across_the_two",
        "truth/test_enemy.py::test_an_exception_event_before_many_others",
        "truth/test_enemy.py::test_any_key_under_error_is_a_claim[error.message]",
        "truth/test_enemy.py::test_any_key_under_error_is_a_claim[error.description]",
        "truth/test_enemy.py::test_any_key_under_error_is_a_claim[error.msg]",
        "truth/test_enemy.py::test_a_span_around_the_run_that_blames_the_wrong_candidate",
        "truth/test_honest.py::test_an_outer_span_that_sums_up",
        "truth/test_incident.py::test_a_span_of_the_application_inside_the_attempt_is_judged_too[as_status]",
        "truth/test_incident.py::test_a_span_of_the_application_inside_the_attempt_is_judged_too[as_attribute]",
        "truth/test_incident.py::test_a_span_of_the_application_inside_the_attempt_is_judged_too[as_event]",
        "truth/ways/test_channels.py::test_a_channel[span-status]",
        "truth/ways/test_channels.py::test_a_channel[span-event]",
        "truth/ways/test_channels.py::test_a_channel[span-recorded]",
        "truth/ways/test_channels.py::test_a_channel[span-error.message]",
        "truth/ways/test_channels.py::test_a_channel[span-error.description]",
    ],
    "openai 1.66 fails by itself where an answer to an embedding holds none": [
        "integrations/providers/test_errors_under_200.py::test_it_is_the_candidates_own_error[embeddings]",
        "integrations/providers/test_errors_under_200.py::test_a_bare_call_has_failed_by_it[embeddings]",
        "integrations/providers/test_errors_under_200.py::test_outside_any_run_the_calls_span_has_it[embeddings]",
        "integrations/providers/test_errors_under_200.py::test_its_words_told_for_another_are_a_mismatch[embeddings]",
        "integrations/providers/test_errors_under_200.py::test_its_own_words_told_for_it_are_verified[embeddings]",
    ],
    "openai 1.66 has no `chat.completions.stream`, hides a flat error event, and passes httpx's own error of a stream": [
        "core/runs/test_streams.py::test_openais_chat_helper[end]",
        "core/runs/test_streams.py::test_openais_chat_helper[error]",
        "core/runs/test_streams.py::test_a_helper_left_early_served[chat]",
        "core/runs/test_streams.py::test_an_async_helper_left_early_served[chat]",
        "testing/test_providers.py::test_the_sdks_own_stream_helpers_accept_the_streams",
        "core/runs/test_streams.py::test_a_flat_error_event_that_raises_nothing_is_partial[False]",
        "core/runs/test_streams.py::test_a_flat_error_event_that_raises_nothing_is_partial[True]",
        "testing/test_providers.py::test_a_silent_stream_is_closed_in_the_end",
    ],
    "openai 1.66 puts the whole body of an answer into its error's text": [
        "docs/test_scenarios.py::test_the_documented_loop_is_told_what_the_page_shows",
    ],
    "anthropic 0.49 has no class for a 529 and no `type` on its errors": [
        "testing/test_providers.py::test_anthropic_errors_arrive_as_the_sdks_own[message-case0]",
        "testing/test_providers.py::test_anthropic_errors_arrive_as_the_sdks_own[<lambda>-case0]",
        "testing/test_providers.py::test_anthropics_finer_code_stands_in_the_errors_details",
        "testing/test_providers.py::test_the_retries_inside_an_sdk_are_counted[anthropic-answer2-message-InternalServerError]",
    ],
}
"""Tests of what the oldest releases do not have, by the reason."""

ALIKE: Final = (
    "core/attribution/test_random_cases.py",
    "core/attribution/test_rules.py",
    "core/attribution/test_texts.py",
    "core/attribution/words",
    "core/domain/test_asked.py",
    "core/domain/test_attributes.py",
    "core/domain/test_chain.py",
    "core/domain/test_outcome.py",
    "core/domain/test_provider_errors.py",
    "core/domain/test_providers.py",
    "core/domain/test_reasons.py",
    "core/evidence/answers",
    "core/evidence/dialects",
    "core/evidence/test_ownership.py",
    "core/evidence/test_references.py",
    "core/findings/test_rules.py",
    "core/runs/test_question.py",
    "core/text",
    "docs/test_contributing.py",
    "docs/test_site.py",
    "house/test_environments.py",
    "house/test_house.py",
    "house/test_layout.py",
    "house/test_tests.py",
    "testing/scenarios",
)
"""Tests that meet neither OpenTelemetry nor an SDK: the same in whatever releases, so they are not run again there."""

# --- parts of the suite -----------------------------------------------------------------------------------------------

# How names of tests begin, below `tests/`: folders, files, or `file.py::test`.

QUICK: Final = (
    "cli/demo/test_tables",
    "cli/doctor/test_doctor.py::test_an_instrumentation_that_is_on",
    "cli/drawing",
    "cli/live/test_gathering",
    "cli/report/test_entries",
    "cli/report/test_reading",
    "cli/watch/test_payload",
    "cli/test_otlp_endpoints",
    "core/attribution/test_from_exception",
    "core/attribution/test_from_span",
    "core/attribution/test_rules",
    "core/config",
    "core/domain",
    "core/evidence",
    "core/findings/test_live",
    "core/runs/test_aside",
    "core/runs/test_displaced",
    "core/runs/inferred/test_bare_calls",
    "core/runs/test_runs",
    "core/runs/test_side_by_side",
    "core/spans",
    "core/summary/test_summary",
    "core/text/test_matching",
    "docs/test_api",
    "docs/test_commands",
    "host/test_bad_input",
    "host/test_introspection",
    "house/test_environments",
    "house/test_layout",
    "integrations/loops/configured",
    "integrations/loops/pydantic_ai/test_traces",
    "integrations/loops/test_wrappers",
    "integrations/providers/test_anthropic",
    "integrations/providers/test_openai",
    "integrations/transports/test_httpx",
    "testing",
    "truth/test_honest",
    "truth/test_incident",
    "truth/test_traces",
)
"""`pytest -m quick`: every room of the package, in a minute. What is marked `slow` is left out, or waits by its nature: for
a provider that hangs; and what stands in `NOT_QUICK`."""

NOT_QUICK: Final = (
    "core/attribution/test_rules.py::test_no_step_can",
    "core/config/test_settings.py::test_a_second_call",
    "core/config/test_settings.py::test_settings_of_the_first",
    "core/domain/test_attributes",
    "core/domain/test_outcome",
    "core/domain/test_provider_errors",
    "core/evidence/answers/test_success.py::test_whatever",
    "core/evidence/dialects/test_answers.py::test_however",
    "core/evidence/dialects/test_answers.py::test_no_document",
    "core/evidence/dialects/test_answers.py::test_what_is_kept",
    "core/evidence/dialects/test_inference",
    "core/evidence/test_error_body.py::test_any_document",
    "core/findings/test_live.py::test_a_request_that_was_rightly",
    "core/spans/test_log_records.py::test_a_logger_provider",
    "core/text/test_matching.py::test_no_text",
    "cli/live/test_gathering.py::test_whatever",
)
"""Of those rooms: tables of hundreds of rows, texts by the thousand that are made up, and processes that are started."""

PYTHONS: Final = {
    "cli/doctor/test_doctor.py::test_an_unsupported": "importlib.metadata",
    "cli/doctor/test_doctor.py::test_keys_are_stable": "the same, of whatever is installed",
    "cli/doctor/test_doctor.py::test_what_is_not_patched": "what an import of each library says where it fails",
    "core/attribution/test_from_exception": "exception groups and notes, which only newer Pythons have",
    "core/runs": "generators, coroutines and context variables: who is current while which of them works or is finalized",
    "core/spans": "the same, for spans around them",
    "core/summary/test_summary": "frames of a traceback, by whose local variables a run is found (PEP 667)",
    "core/text/test_matching": "`re` and `unicodedata`, rewritten or renewed by each Python",
    "host/test_bad_input": "what the interpreter says of wrong types and of objects that raise",
    "host/test_coexistence": "forks, threads, and wrappers of several instrumentations around one function",
    "host/test_faults": "what runs in a pass of a loop is found by the interpreter's own tracing",
    "host/test_freed": "what is in a cycle, and when it is freed, is the interpreter's",
    "host/test_introspection": "signatures and kinds of functions",
    "host/test_process": "the interpreter's start and end, and garbage",
    "host/test_same": "tracebacks, pickles, cancellation, threads",
    "house/test_bench": "what is executed is counted by the interpreter itself",
    "house/test_public_names": "what a module's `__getattr__` and `__module__` do to pickles and annotations",
    "integrations/loops/configured": "functions of each kind, decorated by name before or after they are imported",
    "integrations/loops/pydantic_ai": "exception groups; another release of it, where newer ones want a newer Python",
    "integrations/loops/test_wrappers": "functions and generators of each kind, wrapped",
    "integrations/providers/test_anthropic": "asyncio; another release of it, where newer ones want a newer Python",
    "integrations/providers/test_openai": "the same",
    "integrations/test_patching": "import hooks, which are the interpreter's own, under wrapt",
    "integrations/transports": "asyncio, http.client and ssl, below each transport",
    "testing/test_": "sockets and asyncio, of which the local providers are made",
    "truth/test_enemy": "exception groups that hide whose error is whose",
    "truth/test_incident": "the whole way, once more",
    "truth/test_traces": "the same",
}
"""What can differ in another Python, and why: `pytest -m python`. All the rest is the same code on the same data, as are
findings, reasons, settings, redaction, the documents, and random chains of what is tested here one by one."""
