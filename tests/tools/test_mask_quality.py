"""``tools/mask_quality.py``: its files, and mistakes in one line."""

import importlib
import json

import pytest

from tests.report.cases import drawn_case, write_case


@pytest.fixture
def main():
    return importlib.import_module("maskrcnn_benchmark.tools.mask_quality").main


@pytest.fixture
def files(tmp_path):
    return write_case(tmp_path, *drawn_case(images=2, per_image=1))


def test_the_report_is_written_where_it_says(main, files, tmp_path, capsys):
    predictions, annotations, images = files
    given = ["--predictions", str(predictions), "--annotations", str(annotations)]
    main([*given, "--images", str(images), "--output", str(tmp_path / "new" / "out")])
    page = tmp_path / "new" / "out" / "mask_quality.html"
    assert capsys.readouterr().out == f"Report: {page}\n"
    assert "Mask quality: results.json on annotations.json" in page.read_text()
    assert json.loads(page.with_suffix(".json").read_text())["images"] == 2


@pytest.mark.parametrize("mistake", ["row", "annotations", "folder", "output"])
def test_a_mistake_is_one_line(main, files, tmp_path, capsys, mistake):
    predictions, annotations, images = map(str, files)
    output = tmp_path / "out"
    if mistake == "row":
        rows = json.loads(files[0].read_text())
        rows[2]["image_id"] = 17
        files[0].write_text(json.dumps(rows))
        expected = f"predictions {predictions}, row 3: image_id 17 is not in the annotation file; "
    elif mistake == "annotations":
        files[1].write_text("{}")
        expected = f"annotation file {annotations} is not in COCO format: no list 'images'"
    elif mistake == "folder":
        images += "-nowhere"
        expected = f"image folder {images} does not exist"
    else:
        output.write_text("a file")
        expected = f"{output} cannot be a folder: there is a file of that name"
    given = ["--predictions", predictions, "--annotations", annotations, "--images", images]
    with pytest.raises(SystemExit, match="2"):
        main([*given, "--output", str(output)])
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {expected}")
    assert printed.count("\n") == 1
