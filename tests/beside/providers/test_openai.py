"""OpenAI's SDK beside every neighbour that instruments it; gateways that are asked by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.beside.paths import EVERYWHERE, Paths
from tests.beside.scenarios import SCENES, STREAMED
from tests.beside.sdks import ANTHROPIC, OPENAI

if TYPE_CHECKING:
    from tests.beside.counting import Beside

GATEWAY = OPENAI.at("openrouter", "anthropic/claude-opus-4-7")
GEMINI = OPENAI.at("gcp.gemini", "gemini-2.5-flash")


class TestOpenai(Paths):
    """Every honest path."""

    sdk, second = OPENAI, ANTHROPIC

    @EVERYWHERE
    @pytest.mark.parametrize("scene", ["second serves after no quota", "all fail", "all time out"])
    @pytest.mark.parametrize("chain", [(OPENAI, GATEWAY), (GEMINI, OPENAI)], ids=["gateway", "gemini"])
    def test_a_gateway(self, beside: Beside, chain: tuple[Any, Any], scene: str, place: str, mode: str) -> None:
        """The SDK asks somebody else, whom its neighbours take for OpenAI."""
        self.honest(self.loop(beside, SCENES[scene], place, chain=chain), mode)
        if scene == "all fail":
            loop = self.loop(beside, STREAMED["all fail midway"], place, chain=chain, how="consumed")
            self.honest(loop, mode, some=False)
