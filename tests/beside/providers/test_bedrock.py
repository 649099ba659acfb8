"""Bedrock, asked by botocore, beside every neighbour that instruments it."""

from __future__ import annotations

import pytest

pytest.importorskip("boto3")

from tests.beside.paths import Paths
from tests.beside.sdks import ANTHROPIC, BEDROCK


class TestBedrock(Paths):
    """Every honest path."""

    sdk, second = BEDROCK, ANTHROPIC
