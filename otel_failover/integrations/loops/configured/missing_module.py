"""Whether the module that a configured loop names is there: it is looked for, and nothing of the host's is imported."""

from __future__ import annotations

import importlib.util
import pkgutil
import sys
from importlib.machinery import PathFinder, SourceFileLoader
from typing import TYPE_CHECKING, Any

from otel_failover._core.config.checks import did_you_mean
from otel_failover._core.failsafe import read

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec


def absent(module: str) -> str | None:
    """Return what of a module's name cannot be found, and the nearest that can; None where nothing speaks against it.

    Args:
        module: As `acme.router`.
    """
    try:
        return _absent(module)
    except Exception:  # a finder of the host's may raise anything
        return None


def _absent(module: str) -> str | None:
    """Walk down the name: in what is imported as an import would, below that through plain packages on disk only."""
    package = ""
    path: Any = None
    for name in module.split("."):
        full = f"{package}.{name}" if package else name
        imported = sys.modules.get(full)
        if imported is None:
            if package and path is None:
                return f"no module {full!r} is found: {package} is no package; a class stands behind the colon"
            spec = _spec(full, package, path)
            if spec is None:
                return f"no module {full!r} is found {_instead(name, package, path)}"
            if type(spec.loader) is not SourceFileLoader:
                return None  # a namespace, an archive, a loader of the host's: what is below is theirs to say
            path = spec.submodule_search_locations
        else:
            path = read(imported, "__path__")
        package = full
    return None


def _spec(full: str, package: str, path: Any) -> ModuleSpec | None:
    """Return a module's spec; below a package that is not imported yet, `find_spec` would import it."""
    if not package or package in sys.modules:
        return importlib.util.find_spec(full)
    return PathFinder.find_spec(full, list(path))


def _instead(name: str, package: str, path: Any) -> str:
    if not package:
        known = {module.name for module in pkgutil.iter_modules()}.union(sys.modules)
        near = [each for each in known if "." not in each and each[:1] == name[:1]]
        return f"on sys.path{did_you_mean(name, near)}"
    prefix = f"{package}."
    known = {module.name for module in pkgutil.iter_modules(list(path))}
    known |= {each.removeprefix(prefix) for each in list(sys.modules) if each.startswith(prefix)}
    return f"in the package {package}{did_you_mean(name, known, prefix)}"
