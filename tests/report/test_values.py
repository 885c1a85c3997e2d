"""Numbers as the reports show them."""

import pytest

from maskrcnn_benchmark.report.values import count, decimal, percent, points, share, signed


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (decimal(0.126), "0.13"),
        (decimal(-0.001), "0.00"),
        (decimal(-0.126, 3), "-0.126"),
        (decimal(None), "–"),
        (signed(0.0234), "+0.023"),
        (signed(-0.0001), "+0.000"),
        (percent(0.12345), "12.3"),
        (points(-0.0123), "-1.23"),
        (points(-0.00001), "+0.00"),
        (share(0.284), "28 %"),
        (share(-0.001), "0 %"),
        (share(None), "–"),
        (count(36166), "36,166"),
    ],
)
def test_a_number(shown, expected):
    assert shown == expected
