"""A router with a fallback loop, as a host has it: errors are values, and one session file would be the incident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Vendor:
    """One entry of the chain."""

    label: str
    name: str
    stand: Any


@dataclass
class Result:
    """What one vendor gave."""

    text: str = ""
    error: str | None = None


class Router:
    """Asks one vendor after another."""

    def __init__(self, vendors: list[Vendor]) -> None:
        self.vendors = vendors

    def route(self) -> Result:
        """One pass of the loop."""
        result = Result(error="no vendor")
        for vendor in self.vendors:
            result = self.ask(vendor)
            if result.error is None:
                return result
        return result

    def ask(self, vendor: Vendor) -> Result:
        """Try one vendor."""
        return self._ask(vendor, model=vendor.name)

    def _ask(self, vendor: Vendor, **kwargs: Any) -> Result:  # noqa: ARG002 - a path of the documents reads it
        try:
            return Result(text=type(vendor.stand.ask()).__name__)
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            return Result(error=str(problem))
