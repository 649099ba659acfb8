"""The tests of every SDK, once: each scenario, in each place, in each way."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.beside.counting import described
from tests.beside.neighbours import TRANSPORTS
from tests.beside.scenarios import SCENES, STREAMED, Loop, Scene, Sdk

if TYPE_CHECKING:
    from tests.beside.counting import Beside


TOLD = (
    "second serves after a bad key",
    "second serves after a reset",
    "second serves after a refusal",
    "second serves after a gateway's page",
    "all fail",
    "a timeout after a retry",
)
"""Scenes in which candidates fail in every way."""
EVERYWHERE = pytest.mark.parametrize(
    ("place", "mode"), [("attempts", "sync"), ("attempts", "async"), ("bare", "sync"), ("outside", "async")]
)


class Paths:
    """The honest paths of one SDK; a subclass says which."""

    sdk: Sdk
    second: Sdk
    """Who else's candidate stands behind it."""

    def loop(self, beside: Beside, scene: Scene, place: str = "attempts", **options: Any) -> Loop:
        """Return a loop over two candidates of the SDK, unless the chain is given."""
        beside.needs(self.sdk.name)
        chain = options.pop("chain", (self.sdk, self.sdk))
        return Loop(beside, chain, scene, place, **options)

    def honest(self, loop: Loop, mode: str = "sync", *, some: bool = True) -> None:
        """Go through a loop; nothing is flagged, and in attempts spans of others were seen, if there must be some."""
        plain = mode == "sync" or not all(sdk.is_async for sdk in loop.chain)
        loop.beside.honest(loop.run if plain else loop.arun, some=some)
        if loop.place == "attempts" and some:
            assert loop.beside.seen, "no span of others was bound to an attempt"

    @EVERYWHERE
    @pytest.mark.parametrize("scene", SCENES)
    def test_a_call(self, beside: Beside, scene: str, place: str, mode: str) -> None:
        """Two candidates of one provider."""
        self.honest(self.loop(beside, SCENES[scene], place), mode)

    @pytest.mark.parametrize("mode", ["sync", "async"])
    def test_what_neighbours_tell_is_verified(self, beside: Beside, mode: str) -> None:
        """Of a failure in an attempt, whatever it is: an HTTP library's instrumentation knows no more than we do."""
        if beside.family != TRANSPORTS:
            pytest.skip("what these say of a call in their own words is counted only")
        doubted = []
        for scene in TOLD:
            self.honest(self.loop(beside, SCENES[scene]), mode)
            doubted += [(scene, described(span)) for span in beside.doubted]
        assert doubted == []

    @EVERYWHERE
    @pytest.mark.parametrize("scene", ["second serves after no quota", "all fail", "429, then nobody answers"])
    @pytest.mark.parametrize("turned", [False, True], ids=["first", "last"])
    def test_a_call_in_mixed_company(self, beside: Beside, turned: bool, scene: str, place: str, mode: str) -> None:
        """Another provider's candidate before or behind it."""
        chain = (self.second, self.sdk) if turned else (self.sdk, self.second)
        self.honest(self.loop(beside, SCENES[scene], place, chain=chain), mode)

    @EVERYWHERE
    @pytest.mark.parametrize("scene", STREAMED)
    def test_a_stream(self, beside: Beside, scene: str, place: str, mode: str) -> None:
        """Read to its end, or as far as it goes; some neighbours lose the spans of streams that fail."""
        loop = self.loop(beside, STREAMED[scene], place, how="consumed")
        self.honest(loop, mode, some=scene == "first serves")

    @EVERYWHERE
    @pytest.mark.parametrize("how", ["dropped", "closed", "late"])
    def test_a_stream_left(self, beside: Beside, how: str, place: str, mode: str) -> None:
        """Dropped or closed after its first chunk, or read when the attempt has been left."""
        loop = self.loop(beside, STREAMED["second serves after no quota"], place, how=how)
        self.honest(loop, mode, some=how == "late")

    @pytest.mark.parametrize("mode", ["sync", "async"])
    @pytest.mark.parametrize("scene", ["first serves", "second serves after no quota"])
    def test_other_ways(self, beside: Beside, scene: str, mode: str) -> None:
        """Every other way to ask the SDK, whole and streamed; no neighbour knows them all."""
        for way in list(self.sdk.ways)[1:]:
            self.honest(self.loop(beside, SCENES[scene], way=way), mode, some=False)
        for way in list(self.sdk.streams)[1:]:
            for streamed in (scene, "failed midway"):
                self.honest(self.loop(beside, STREAMED[streamed], way=way, how="consumed"), mode, some=False)

    @pytest.mark.parametrize("place", ["attempts", "bare"])
    def test_runs_at_the_same_time(self, beside: Beside, place: str) -> None:
        """In threads, and as tasks."""
        scenes = [SCENES["second serves after no quota"], SCENES["all fail"]] * 2
        loops = [self.loop(beside, scene, place) for scene in scenes]

        def threads() -> list[Any]:
            with ThreadPoolExecutor(4) as pool:
                return list(pool.map(lambda loop: loop.run(), loops))

        async def tasks() -> list[Any]:
            return await asyncio.gather(*(loop.go() for loop in loops))

        beside.honest(threads)
        if self.sdk.is_async:
            beside.honest(lambda: asyncio.run(tasks()))

    @pytest.mark.parametrize("scene", ["all fail", "retried, then served"])
    def test_inside_a_span_of_the_application(self, beside: Beside, scene: str) -> None:
        """The application's own span is around the run, and says what came of it."""
        loop = self.loop(beside, replace(SCENES[scene]))

        def work() -> Any:
            with beside.tracer.start_as_current_span("answer the user"):
                return loop.run()

        beside.honest(work)
