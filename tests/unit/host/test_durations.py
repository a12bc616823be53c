"""Times in words."""

from __future__ import annotations

import pytest

from zbx_nvidia.host.durations import rough


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "119 min"),
        (7_200, "2 hours"),
        (172_799, "47 hours"),
        (172_800, "2 days"),
    ],
)
def test_the_largest_unit_of_which_there_are_two(seconds: float, said: str) -> None:
    assert rough(seconds) == said
