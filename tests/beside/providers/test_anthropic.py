"""Anthropic's SDK beside every neighbour that instruments it."""

from __future__ import annotations

import pytest

pytest.importorskip("anthropic")

from tests.beside.paths import Paths
from tests.beside.sdks import ANTHROPIC, OPENAI


class TestAnthropic(Paths):
    """Every honest path."""

    sdk, second = ANTHROPIC, OPENAI
