import pytest

from maskrcnn_benchmark.engine.metric_logger import MetricLogger
from tests.helpers.vectors import load_vector


def test_equals_the_recorded_trace():
    data = load_vector("metric_logger")[0]["data"]
    meters = MetricLogger(delimiter="  ")
    expected = {entry["i"]: entry for entry in data["trace"]}
    for i, value in enumerate(data["values"]):
        meters.update(loss=value, loss_mask=value / 2, n=i)
        if i in expected:
            assert str(meters) == expected[i]["text"]
            assert meters.loss.median == expected[i]["median"]
            assert meters.loss.avg == pytest.approx(expected[i]["avg"], abs=1e-7)
            assert meters.loss.global_avg == pytest.approx(expected[i]["global_avg"], abs=1e-12)


def test_an_unknown_value_is_named():
    meters = MetricLogger()
    meters.update(loss=1.0)
    with pytest.raises(AttributeError, match="no value named 'lost'.*loss"):
        meters.lost  # noqa: B018
