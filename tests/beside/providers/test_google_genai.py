"""Google's SDK beside every neighbour that instruments it."""

from __future__ import annotations

import pytest

pytest.importorskip("google.genai")

from tests.beside.paths import Paths
from tests.beside.sdks import ANTHROPIC, GEMINI


class TestGemini(Paths):
    """Every honest path."""

    sdk, second = GEMINI, ANTHROPIC
