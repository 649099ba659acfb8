"""A chain looks things up; what it finds is what reading it from the start would find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otel_failover import Candidate
from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain.chain import Chain

_ENDPOINTS = st.sampled_from([None, "https://a.example", "https://b.example"])
_CANDIDATES = st.builds(
    Candidate, st.sampled_from(["openai", "anthropic", ""]), st.sampled_from(["m", "n", ""]), _ENDPOINTS
)
_TEXTS = st.sampled_from(["openai/m", "anthropic/n", "m"])
_ENTRIES = st.lists(_CANDIDATES | _TEXTS, max_size=8)


@given(_ENTRIES, _CANDIDATES)
def test_a_look_finds_what_reading_finds(entries: list[Candidate | str], asked: Candidate) -> None:
    chain = Chain(tuple(entries))
    members = [identity.parse(entry) for entry in entries]
    equal = [place for place, member in enumerate(members) if member == asked]
    assert list(chain.places(asked, asked)) == equal
    assert chain.has_twice(asked) is (len(equal) > 1)
    fitting = [place for place, member in enumerate(members) if member.model in (asked.model, "")]
    assert list(chain.asking_for(asked.model)) == fitting
    assert chain.endpoints == {member.endpoint for member in members if member.endpoint}
    for endpoint in chain.endpoints:
        assert chain.owners[endpoint] == next(each.provider for each in members if each.endpoint == endpoint)


def test_of_equal_entries_the_very_object_is_found() -> None:
    one, same = Candidate("openai", "m"), Candidate("openai", "m")
    chain = Chain((one, "openai/m", same))
    assert [list(chain.places(each, each)) for each in (one, same)] == [[0], [2]]
    assert list(chain.places("openai/m, put together", one)) == [0, 1, 2]
