"""Who a candidate is: providers and their other spellings, endpoints, chain entries."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_failover import Candidate, failover_run
from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain import providers
from otel_failover._core.domain.candidate import parse
from otel_failover._core.domain.endpoint import address_of, endpoint_of, host_of
from otel_failover._core.domain.providers import canonical, metric_value
from otel_failover.testing.providers import Answer
from tests.support.fresh import as_imported
from tests.support.hosts import KEYS, stand

if TYPE_CHECKING:
    from tests.support.spans import Telemetry


def wrong(reason: str) -> pytest.MarkDecorator:
    """Mark what is promised and not kept."""
    return pytest.mark.xfail(strict=True, reason=reason)


@pytest.mark.parametrize(
    ("word", "provider"),
    [
        ("openai", "openai"), ("OpenAI", "openai"), (" Anthropic ", "anthropic"), ("claude", "anthropic"),
        ("gemini", "gcp.gemini"), ("google", "gcp.gemini"), ("google-gla", "gcp.gemini"),
        ("google_genai", "gcp.gemini"),
        ("vertex_ai", "gcp.vertex_ai"), ("google-vertex", "gcp.vertex_ai"), ("bedrock", "aws.bedrock"),
        ("amazon-bedrock", "aws.bedrock"), ("Amazon Bedrock", "aws.bedrock"), ("azure", "azure.ai.openai"),
        ("az.ai.openai", "azure.ai.openai"), ("mistral", "mistral_ai"), ("mistralai", "mistral_ai"), ("xai", "x_ai"),
        ("grok", "x_ai"), ("moonshotai", "moonshot_ai"), ("kimi", "moonshot_ai"), ("together", "together_ai"),
        ("huggingface", "hugging_face"), ("qwen", "alibaba_cloud"), ("our-own", "our-own"), ("", ""),
    ],
)  # fmt: skip
def test_other_spellings(word: str, provider: str) -> None:
    assert canonical(word) == provider
    assert Candidate(word, "m").provider == provider


@pytest.mark.parametrize("provider", sorted(providers.PROVIDERS))
def test_the_closed_table_is_spelled_as_it_is_and_may_be_counted(provider: str) -> None:
    assert canonical(provider) == provider
    assert metric_value(provider) == provider


def test_tables_lead_into_the_closed_table() -> None:
    """Whatever the module has of them: by spelling, by host, by how a host ends."""
    tables = [dict(each) for name, each in vars(providers).items() if not name.startswith("__") and is_table(each)]
    assert len(tables) > 2
    assert all(set(table.values()) <= providers.PROVIDERS for table in tables)


def is_table(thing: object) -> bool:
    """Whether a constant leads from texts to texts: a mapping, or pairs."""
    pairs = [*thing.items()] if isinstance(thing, dict) else [*thing] if isinstance(thing, tuple) else []
    return bool(pairs) and all(
        isinstance(each, tuple) and len(each) == 2 and {type(part) for part in each} == {str} for each in pairs
    )


def test_a_word_of_the_hosts_own_is_counted_as_other() -> None:
    assert metric_value("our-own-gateway") == "other"
    assert metric_value("") == "other"


def test_the_users_aliases_may_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    as_imported(providers, monkeypatch)
    assert metric_value("corp") == "other"
    providers.admit({"llm.corp.example": "corp"})
    assert metric_value("corp") == "corp"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com"), ("https://api.openai.com:443/v1/", "https://api.openai.com"),
        ("HTTPS://API.OpenAI.com/v1?x=1#f", "https://api.openai.com"), ("http://localhost:8080/v1", "http://localhost:8080"),
        ("http://localhost:80", "http://localhost"), ("http://localhost:443", "http://localhost:443"),
        ("https://localhost:80", "https://localhost:80"), ("api.openai.com/v1", "https://api.openai.com"),
        ("localhost:11434", "https://localhost:11434"), ("http://[::1]:8080/x", "http://[::1]:8080"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"), ("https://user:secret@host.example/v1", "https://host.example"),
        ("https://secret@host.example:8443/v1", "https://host.example:8443"), ("user:secret@host.example", "https://host.example"),
        ("", None), ("http://", None), ("///", None), ("http://host:port/", None), ("http://host:99999/", None),
        ("http://[::1/v1", None), ("https://user:secret@", None),
    ],
)  # fmt: skip
def test_endpoints_are_scheme_host_and_port(url: str, endpoint: str | None) -> None:
    assert endpoint_of(url) == endpoint


@given(st.text(max_size=60))
def test_any_text_has_an_endpoint_or_none(text: str) -> None:
    found = endpoint_of(text)
    assert found is None or ("@" not in found.partition("://")[2] and "?" not in found)
    host_of(text)
    address_of(text)
    canonical(text)
    parse(text)


@given(
    st.from_regex(r"[a-z]{1,8}(\.[a-z]{2,5}){1,2}", fullmatch=True),
    st.integers(1, 65535),
    st.sampled_from(["http", "https"]),
)
def test_an_endpoint_is_its_own_endpoint(host: str, port: int, scheme: str) -> None:
    once = endpoint_of(f"{scheme}://user:secret@{host}:{port}/v1?key=secret")
    assert once is not None
    assert endpoint_of(once) == once
    assert "secret" not in once
    assert address_of(once) == (host, port)
    assert host_of(once) == host


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("https://api.openai.com", ("api.openai.com", 443)), ("http://localhost", ("localhost", 80)),
        ("http://[::1]:8080", ("::1", 8080)), ("nonsense", ("", 443)), ("http://h:99999", ("", 0)),
    ],
)  # fmt: skip
def test_addresses(endpoint: str, address: tuple[str, int]) -> None:
    assert address_of(endpoint) == address


@pytest.mark.parametrize(
    ("entry", "provider", "model"),
    [
        ("openai/gpt-5.5", "openai", "gpt-5.5"), ("anthropic:claude-opus-4-7", "anthropic", "claude-opus-4-7"),
        ("gpt-5.5", "", "gpt-5.5"), ("openrouter/anthropic/claude-3", "openrouter", "anthropic/claude-3"),
        ("bedrock/anthropic.claude-v2:0", "aws.bedrock", "anthropic.claude-v2:0"), ("/gpt", "", "/gpt"), ("", "", ""),
        pytest.param("openrouter:anthropic/claude-3", "openrouter", "anthropic/claude-3"),
        pytest.param("huggingface:Qwen/Qwen3", "hugging_face", "Qwen/Qwen3"),
    ],
)  # fmt: skip
def test_chain_entries(entry: str, provider: str, model: str) -> None:
    assert parse(entry) == Candidate(provider, model)


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Unbound:
    """As a host's proxy is with nothing behind it: whatever is asked of it raises."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no object")

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class Named(NamedTuple):
    model: str
    provider: str


ODD: dict[str, tuple[Any, str]] = {
    "None": (None, "NoneType"),
    "int": (7, "int"),
    "hostile": (Hostile(), "tests.core.domain.test_candidate.Hostile"),
    "unbound": (Unbound(), "tests.core.domain.test_candidate.Unbound"),
    "object": (object(), "object"),
    "list": ([], "list"),
    "dict": ({"provider": "openai"}, "dict"),
    "bytes": (b"openai/gpt", "bytes"),
    "named": (Named("gpt-5.5", "openai"), "tests.core.domain.test_candidate.Named"),
    "three": (("openai", "gpt-5.5", 3), "tuple"),
    "half a pair": (("openai", None), "tuple"),
    "two entries": (["openai/gpt-5.5", "anthropic/claude-opus-4-7"], "list"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_entry_that_is_no_entry_is_open_but_for_its_types_name_and_told_once(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of what it holds: its text may be anything, and its requests say who is asked."""
    entry, name = ODD[kind]
    as_imported(identity, monkeypatch)
    made = parse(entry)
    assert made == parse(entry) == Candidate("", "", None, name.rpartition(".")[2])
    assert made.label == name.rpartition(".")[2]
    (record,) = caplog.records
    assert f"a candidate of type {name} says neither provider nor model; allowed are a Candidate" in record.getMessage()


def test_the_trace_of_an_odd_entry_has_who_was_asked_and_nothing_of_its_text(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Vendor:
        def __repr__(self) -> str:
            return "Vendor(of='tenant-4711')"

    as_imported(identity, monkeypatch)
    vendor: Any = Vendor()
    with stand("openai", Answer.ok("Hello")) as standing, failover_run("chat", chain=[vendor]) as run:
        with run.attempt(vendor):
            standing.ask()
    (candidate,) = telemetry.candidates
    assert telemetry.run["failover.chain"] == ["Vendor"]
    assert (candidate["candidate.index"], candidate["candidate.profile"]) == (0, "Vendor")
    assert candidate["candidate.model"] == "gpt-5.5"
    assert "tenant-4711" not in repr([vars(span) for span in telemetry.spans])


@pytest.mark.parametrize("pair", [("openai", "gpt-5.5"), ["OpenAI", "gpt-5.5"]])
def test_a_pair_of_texts_is_provider_and_model(pair: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert parse(pair) == Candidate("openai", "gpt-5.5")
    assert not caplog.records


def test_a_candidate_is_itself_in_a_chain() -> None:
    given_one = Candidate("openai", "m", "https://h.example/v1", "blue")
    assert parse(given_one) is given_one
    assert given_one == Candidate("OpenAI", "m", "h.example", "blue")
    assert given_one.label == "openai/m"
    assert len(Candidate("x" * 500, "y" * 500).label) == 255


@pytest.mark.parametrize("value", [None, 3, Hostile(), b"x"])
def test_a_candidate_of_anything_raises_nothing(value: Any) -> None:
    assert isinstance(Candidate(value, value).provider, str)
    assert isinstance(Candidate(value, value).model, str)


class Provider(str, enum.Enum):
    OPENAI = "openai"


def test_a_provider_may_be_a_member_of_a_text_enum() -> None:
    assert Candidate(Provider.OPENAI, "m").provider == "openai"


def test_an_endpoint_may_be_the_clients_base_url() -> None:
    """`Candidate("openai", "m", endpoint=client.base_url)`: the SDK's is an `httpx.URL`."""
    url: Any = httpx.URL("http://localhost:8080/v1/")
    assert Candidate("openai", "m", url).endpoint == "http://localhost:8080"


@pytest.mark.parametrize(
    "url", ["https://user:secret@host:99999/v1", "https://user:secret@[bad/v1", "user:secret@host//v1"]
)
def test_an_endpoint_that_cannot_be_parsed_keeps_no_user_info(url: str) -> None:
    assert "secret" not in str(Candidate("openai", "m", url).endpoint)


def test_a_candidate_says_what_is_known_of_it_and_no_key() -> None:
    full = Candidate("openai", "gpt-5.5", "https://user:secret@eu.example:8443/v1/key", "team-b")
    assert repr(full) == "Candidate('openai', 'gpt-5.5', endpoint='https://eu.example:8443', profile='team-b')"
    assert repr(Candidate("gemini", "m")) == "Candidate('gcp.gemini', 'm')"
    assert KEYS["openai"][8:] not in repr(Candidate(KEYS["openai"], KEYS["openai"], None, KEYS["openai"]))
    assert repr(object.__new__(Candidate)) == "<Candidate>"
