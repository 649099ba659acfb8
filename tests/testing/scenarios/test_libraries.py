"""What libraries' loops do is what the documents' table says, in the releases that it names.

Each in a process of its own, all at the same time: mostly they wait, for candidates and between retries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.testing.scenarios.libraries import LIBRARIES, WRITTEN, releases

ROOT: Final = Path(__file__).parents[3]
MODULES: Final = ("pydantic_ai", "litellm", "langchain_openai", "langchain_anthropic")
KNOWN: Final = json.loads(WRITTEN.read_text("utf-8"))


PARTS: Final = {"litellm-router": 3}
"""Into how many the cases of one are taken apart, which waits longer between its retries."""
TRY: Final = """
import json, sys
from tests.testing.scenarios.libraries import tried
name, part, parts, path = sys.argv[1:]
with open(path, "w", encoding="utf-8") as file:
    json.dump(tried(name, int(part), int(parts))["cases"], file)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    for module in MODULES:
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("tried")
    works = [(name, part, PARTS.get(name, 1)) for name in LIBRARIES for part in range(PARTS.get(name, 1))]
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", TRY, name, str(part), str(parts), str(folder / f"{name}-{part}")],
                    cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": str(ROOT), "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
                    stdout=subprocess.DEVNULL,
                    stderr=stack.enter_context((folder / f"{name}-{part}.err").open("wb")),
                )
            )
            for name, part, parts in works
        ]
    cases: dict[str, dict[str, Any]] = {name: {} for name in LIBRARIES}
    for (name, part, _), process in zip(works, started, strict=True):
        assert process.returncode == 0, (folder / f"{name}-{part}.err").read_text("utf-8")[-2000:]
        cases[name] |= json.loads((folder / f"{name}-{part}").read_text("utf-8"))
    return cases


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_loop_does_what_the_documents_say(found: dict[str, dict[str, Any]], name: str) -> None:
    assert releases(name) == KNOWN[name]["releases"], "try them again: python -m tests.testing.scenarios.libraries"
    verdicts = {case: each["verdict"] for case, each in found[name].items()}
    assert verdicts == {case: each["verdict"] for case, each in KNOWN[name]["cases"].items()}
