"""Of which libraries CI had the newest release there is; where not, why not. `python -m tests.support.taken FOLDER UV`.

Libraries do not all fit together, so an installer may take an older release of one and say nothing. What counts is that
each newest release was in some environment: a test that fails there is what has changed in it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.environments import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Resolve = Callable[[str], tuple[dict[str, str], str]]

ROOT = Path(__file__).parents[2]


def taken_in(folder: Path) -> dict[str, dict[str, str]]:
    """Return which release of each library each environment had: by library, then by environment."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*.json")):
        for name, version in json.loads(path.read_text("utf-8")).items():
            found.setdefault(name, {})[path.stem] = version
    return found


def tested() -> dict[str, str]:
    """Return the newest release of each library that the support table names, by its distribution."""
    tree = ast.parse((ROOT / "otel_failover" / "integrations" / "libraries.py").read_text("utf-8"))
    table = next(
        ast.literal_eval(each.value)
        for each in tree.body
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and each.target.id == "NEWEST"
        and each.value
    )
    return {LIBRARIES[name]: version for name, version in table.items() if name in LIBRARIES}


def told(taken: Mapping[str, Mapping[str, str]], known: Mapping[str, str], resolve: Resolve) -> Iterator[str]:
    """Yield a line for each library that some environment had.

    Args:
        taken: Which release each environment had, by library.
        known: The newest that the support table names.
        resolve: Returns which releases are the newest that fit together, and why none are.
    """
    newest = {name: resolve(f"--no-deps {name}")[0].get(name, "") for name in taken}
    for name, environments in taken.items():
        best = max(environments.values(), key=_key)
        if best == newest[name]:
            number = sum(version == best for version in environments.values())
            line = f"{name} {best}: the newest, in {number} environment{'' if number == 1 else 's'}"
        elif not newest[name]:
            line = f"{name} {best}: which is the newest cannot be seen"
        else:
            why = resolve(f"{name}=={newest[name]}")[1] or "held back by what it was installed with"
            line = f"{name} {best}: NOT the newest, which is {newest[name]}: {why}"
        if name in known and _key(best) > _key(known[name]):
            line += f"; newer than {known[name]}, which the support table names"
        yield line


def _key(version: str) -> tuple[int, ...]:
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split("+", maxsplit=1)[0].split("."))


def resolver(uv: str) -> Resolve:
    """Return what asks uv, which asks the index.

    Args:
        uv: Its path.
    """

    def resolve(wanted: str) -> tuple[dict[str, str], str]:
        *options, name = wanted.split()
        command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", *options, "-"]
        done = subprocess.run(command, input=name, capture_output=True, text=True, check=False)
        pins = dict(line.split("==", 1) for line in done.stdout.splitlines() if "==" in line)
        return pins, " ".join(done.stderr.split())[:300] if done.returncode else ""

    return resolve


if __name__ == "__main__":
    for each in told(taken_in(Path(sys.argv[1])), tested(), resolver(sys.argv[2])):
        sys.stdout.write(f"{each}\n")
