"""Counts in the report of an inspection."""

import re

from maskrcnn_benchmark.data.inspection import inspect_coco, write_report
from tests.data.helpers import square, write_coco


def _crowd(**more):
    return square(5, 5, 12, iscrowd=1, **more) | {
        "segmentation": {"size": [40, 60], "counts": [205, 12, 2183]}
    }


def test_a_crowd_is_no_instance_and_its_image_still_has_the_class(tmp_path):
    cats, dogs = [square(10, 10, 20)], [square(30, 10, 10, category_id=7), _crowd(category_id=7)]
    images = [(60, 40, [*cats, *cats, *dogs]), (60, 40, [_crowd()]), (60, 40, dogs)]
    path, root = write_coco(tmp_path, images)
    text = write_report(inspect_coco(path, root), root, tmp_path / "out", title="x").read_text()
    table = text.split("## Classes")[1]
    rows = [tuple(re.findall(r"[^| ]+", line)) for line in table.splitlines() if "|" in line]
    assert rows[2:] == [("3", "cat", "2", "2"), ("7", "dog", "2", "2")]
    figures = dict(re.findall(r"^\| (instances|crowds) +\| (\d+)", text, re.MULTILINE))
    assert figures == {"instances": "4", "crowds": "3"}
