"""A voice near the edge of the pitch range: what lies beyond is not found, so that the median seems to lie within."""

import numpy as np
import pytest

from metavox.adaptation.quality import Quality, problems
from metavox.features.world import World


@pytest.mark.parametrize(("median", "warned"), [(62.0, True), (77.0, False), (297.0, False), (600.0, True)])
def test_a_median_near_the_edge_is_told(median: float, warned: bool) -> None:
    """The lowest and the highest median of 90 LibriSpeech speakers are 77 and 297 Hz."""
    quality = Quality(4.0, 2.0, 16000, 0.0, 40.0, -25.0, median)
    assert any("pitch range of 50 to 700 Hz" in p for p in problems(quality, World(f0_floor=50.0))) == warned


def test_what_is_hardly_voiced_is_told() -> None:
    assert any("hardly voiced" in p for p in problems(Quality(4.0, 0.2, 16000, 0.0, 40.0, -25.0, np.nan), World()))
