"""Whose a host is: each provider's, and none that only looks like one of them."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_failover._core.domain.providers import (
    GATEWAYS,
    HOST_ENDINGS,
    HOSTS,
    PROVIDERS,
    SPELLINGS,
    canonical,
    provider_of_host,
)

ONES_OWN: Final = {
    "API.OPENAI.COM": "openai",
    "eu.api.openai.com": "openai",
    "our.openai.azure.com": "azure.ai.openai",
    "our.services.ai.azure.com": "azure.ai.inference",
    "our-model.eastus2.models.ai.azure.com": "azure.ai.inference",
    "us-central1-aiplatform.googleapis.com": "gcp.vertex_ai",
    "aiplatform.us.rep.googleapis.com": "gcp.vertex_ai",
    "aiplatform.europe-west1.rep.googleapis.com": "gcp.vertex_ai",
    "bedrock-runtime.eu-west-1.amazonaws.com": "aws.bedrock",
    "bedrock-runtime-fips.us-east-1.amazonaws.com": "aws.bedrock",
    "bedrock-runtime.cn-north-1.amazonaws.com.cn": "aws.bedrock",
    "bedrock-runtime.eu-west-1.api.aws": "aws.bedrock",
    "bedrock-mantle.us-east-1.api.aws": "aws.bedrock",
    "vpce-0a1b-2c3d.bedrock-runtime.eu-west-1.vpce.amazonaws.com": "aws.bedrock",
    "us-east-1.api.x.ai": "x_ai",
    "ws-1.ap-southeast-1.maas.aliyuncs.com": "alibaba_cloud",
    "dbc-1.cloud.databricks.com": "databricks",
    "adb-1.2.azuredatabricks.net": "databricks",
    "eu-de.ml.cloud.ibm.com": "ibm.watsonx.ai",
    "x1.us-east-1.aws.endpoints.huggingface.cloud": "hugging_face",
}
"""Hosts that a customer or a region has for itself."""
NOBODYS: Final = (
    "localhost",
    "",
    "127.0.0.1",
    "oauth2.googleapis.com",
    "storage.googleapis.com",
    "aiplatform.evil.example",
    "x.rep.googleapis.com",
    "bedrock.eu-west-1.amazonaws.com",
    "bedrock-agent-runtime.eu-west-1.amazonaws.com",
    "s3.amazonaws.com",
    "my-bedrock-runtime.s3.amazonaws.com",
    "bedrock-runtime.eu-west-1.amazonaws.com.evil.example",
    "bedrock-runtime.evil.example",
    "notgroq.com",
    "api.notgroq.com",
    "api.openai.com.evil.example",
    "notapi.openai.com.example",
    "apixopenai.com",
    "xapi.x.ai",
    "api-x.ai",
    "openai.azure.com.evil.example",
    "iam.cloud.ibm.com",
    "databricks.com.evil.example",
    "notdatabricks.com",
    "www.ollama.com.example",
    "huggingface.co",
    "console.anthropic.com",
)


@pytest.mark.parametrize("host", ONES_OWN)
def test_the_host_of_a_customer_or_a_region_is_its_providers(host: str) -> None:
    assert provider_of_host(host) == ONES_OWN[host]


@pytest.mark.parametrize("host", [*NOBODYS, *GATEWAYS])
def test_what_looks_like_a_providers_host_or_relays_for_many_is_nobodys(host: str) -> None:
    assert provider_of_host(host) is None


@pytest.mark.parametrize("host", HOSTS)
def test_a_well_known_host_is_its_providers_and_no_lookalike_is(host: str) -> None:
    assert provider_of_host(host) == provider_of_host(host.upper()) == HOSTS[host]
    dashed = host.replace(".", "-", 1)
    if not dashed.endswith(tuple(HOST_ENDINGS)):
        assert provider_of_host(dashed) is None
    assert provider_of_host(f"{host}.evil.example") is None
    assert provider_of_host(f"not{host}") is None


@pytest.mark.parametrize("ending", HOST_ENDINGS)
def test_an_ending_stands_at_the_end_behind_a_name(ending: str) -> None:
    assert provider_of_host(f"our{ending}") == HOST_ENDINGS[ending]
    assert ending[0] in ".-", "else anybody could register a name that ends so"
    assert provider_of_host(f"our{ending}.evil.example") is None
    assert provider_of_host(f"our{ending[1:]}") is None


def test_the_tables_name_providers_as_the_closed_table_does() -> None:
    assert {*HOSTS.values(), *HOST_ENDINGS.values(), *SPELLINGS.values()} <= PROVIDERS
    assert not PROVIDERS.intersection(SPELLINGS)
    assert all(canonical(word) in PROVIDERS for word in SPELLINGS)


@given(st.from_regex(r"[a-z]{1,12}(\.[a-z]{1,12}){0,3}", fullmatch=True))
def test_a_host_that_somebody_registers_is_nobodys(name: str) -> None:
    """Whatever stands before it: no provider's name is enough outside that provider's own domain."""
    assert provider_of_host(f"{name}.example") is None
    assert provider_of_host(f"api.openai.com.{name}.example") is None
