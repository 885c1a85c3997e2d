import logging

import pytest

from maskrcnn_benchmark.evaluation.coco_results import (
    COCOResults,
    check_expected_results,
    format_table,
)


def test_starts_in_the_recorded_layout():
    values = dict.fromkeys(["AP", "AP50", "AP75", "APs", "APm", "APl"], -1)
    assert COCOResults("bbox", "segm").results == {"bbox": values, "segm": values}
    assert "AR@1000" in COCOResults("box_proposal")["box_proposal"]
    with pytest.raises(ValueError, match="pose"):
        COCOResults("pose")


@pytest.mark.parametrize(("actual", "passes"), [(0.383, True), (0.385, False), (0.375, False)])
def test_expected_results_allow_some_sigmas(caplog, actual, passes):
    logging.getLogger("maskrcnn_benchmark").propagate = True
    results = COCOResults("bbox")
    results["bbox"]["AP"] = actual
    with caplog.at_level(logging.INFO):
        assert check_expected_results(results, [["bbox", "AP", 0.38, 0.001]], 4) is passes
    assert ("PASS" if passes else "FAIL") in caplog.text


def test_an_expected_result_that_was_not_evaluated_is_an_error():
    with pytest.raises(ValueError, match="segm AP, which was not evaluated"):
        check_expected_results(COCOResults("bbox"), [["segm", "AP", 0.3, 0.1]], 4)


def test_undefined_values_are_shown_as_a_dash():
    results = COCOResults("bbox")
    results["bbox"]["AP"] = 0.1234
    assert str(results).splitlines()[1].split() == ["bbox", "12.3", "-", "-", "-", "-", "-"]


def test_tables_are_aligned():
    table = format_table(["name", "value"], [["a", "1.0"], ["longer", "100.0"]])
    assert table.splitlines() == ["name    value", "a         1.0", "longer  100.0"]
