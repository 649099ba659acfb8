"""What may be imported: what `__all__` says is there, nothing else is, and each says where it is imported from."""

from __future__ import annotations

import importlib
import inspect
import pickle
import typing
from types import ModuleType

import pydantic
import pytest

import otel_failover
from otel_failover import Candidate, summarize
from tests.support.process import in_a_process

PUBLIC = ("otel_failover", "otel_failover.testing.providers")


@pytest.mark.parametrize("module", PUBLIC)
def test_all_names_exactly_what_is_there(module: str) -> None:
    """In a fresh process, where nothing was asked for yet; what is imported for types only is not there."""
    printed = in_a_process(f"""
        import importlib
        found = importlib.import_module({module!r})
        named = {{name: getattr(found, name) for name in found.__all__}}
        print("MODULES", sorted({{getattr(each, "__module__", "") for each in named.values()}}))
        starred = {{}}
        exec("from {module} import *", starred)
        print("SAME", sorted(set(starred) - {{"__builtins__"}}) == sorted(named))
    """)
    assert "SAME True" in printed
    found = importlib.import_module(module)
    assert sorted(found.__all__) == sorted(set(found.__all__))
    ours = {
        name
        for name, each in vars(found).items()
        if getattr(each, "__module__", "") == module and not name.startswith("_") and not isinstance(each, ModuleType)
    }
    assert ours <= set(found.__all__)


@pytest.mark.parametrize("name", sorted({*otel_failover.__all__} - {"__version__"}))
def test_what_is_exported_names_the_package_as_its_module(name: str) -> None:
    each = getattr(otel_failover, name)
    assert each.__module__ == "otel_failover"
    assert pickle.loads(pickle.dumps(each)) is each
    assert "otel_failover._core" not in repr(each)
    assert inspect.getdoc(each)


def test_what_a_service_hands_on_can_be_pickled() -> None:
    candidate = Candidate("openai", "gpt-5.5", "https://eu.example.com", "team-b")
    assert pickle.loads(pickle.dumps(candidate)) == candidate
    assert b"_core" not in pickle.dumps(candidate)
    summary = summarize(ValueError("?"))
    assert pickle.loads(pickle.dumps(summary)) == summary


@pytest.mark.parametrize("name", ["Candidate", "CandidateError", "Summary", "summarize"])
def test_annotations_are_resolved_where_a_name_says_it_is_from(name: str) -> None:
    """As pydantic and FastAPI resolve them."""
    each = getattr(otel_failover, name)
    assert typing.get_type_hints(each)
    pydantic.TypeAdapter(each)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'otel_failover' has no attribute 'Summry'"):
        _ = otel_failover.Summry  # type: ignore[attr-defined]
