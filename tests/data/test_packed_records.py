"""Packed records are restored in any order and are not copied to spawned workers."""

import json
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_benchmark.data.coco_json.pack import GroupedRecords, PackedRecords
from maskrcnn_benchmark.data.coco_json.read import load_packing
from maskrcnn_benchmark.data.datasets import COCODataset
from tests.data.helpers import square, write_coco

RECORDS = [{"a": [1.5, 2]}, "text", None, [], {"nested": {"b": [[1, 2], [3]]}}]


def test_records_come_back():
    packed = PackedRecords(iter(RECORDS))
    assert len(packed) == 5
    assert list(packed) == RECORDS
    assert packed[-1] == RECORDS[-1]
    assert packed[1:4] == RECORDS[1:4]
    for wrong in (5, -6):
        with pytest.raises(IndexError):
            packed[wrong]
    assert list(pickle.loads(pickle.dumps(packed))) == RECORDS
    empty = PackedRecords([])
    assert (len(empty), list(empty)) == (0, [])
    assert len(pickle.loads(pickle.dumps(empty))) == 0


def test_records_by_group():
    groups = torch.randint(4, (50,)).tolist() + [5]
    of_record = torch.tensor(groups)
    grouped = GroupedRecords(PackedRecords(range(51)), of_record, 7)
    for group in range(7):
        assert grouped[group] == [i for i, g in enumerate(groups) if g == group]
    assert grouped.sizes.tolist() == [groups.count(group) for group in range(7)]
    assert GroupedRecords(PackedRecords([]), of_record[:0], 2)[1] == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(
    before=st.dictionaries(st.text(), VALUES, max_size=3),
    entries=st.lists(VALUES, max_size=4),
    after=st.dictionaries(st.text(), VALUES, max_size=3),
    indent=st.sampled_from([None, 1]),
)
def test_packing_is_parsing(before, entries, after, indent):
    content = {**before, "list": entries, **after}
    content["list"] = entries
    loaded = load_packing(f" {json.dumps(content, indent=indent)}\n", "list")
    assert isinstance(loaded["list"], PackedRecords)
    assert {**loaded, "list": list(loaded["list"])} == content
    assert list(loaded) == list(content)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1,", '{"list": [1, 2}', '{"list": [1 2]}', '{"list": [1,]}', '{"list": [}']
    + ['{"list" [1]}', '{"list": [1],}', '{"list": [1]} x', "{1: 2}", '{"a": 1 "b": 2}', "{]"],
)
def test_invalid_json_is_refused(text):
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    with pytest.raises(json.JSONDecodeError):
        load_packing(text, "list")


def test_other_json_is_parsed_as_usual():
    for text in ("[1, 2]", "7", "{}", '{"list": {"no": 1}}', '{"other": [1]}'):
        assert load_packing(text, "list") == json.loads(text)


def test_a_spawned_worker_gets_handles_and_not_the_annotations(tmp_path):
    """The data sent to a worker does not grow with the annotations."""
    sizes = []
    for number in (2, 400):
        folder = tmp_path / str(number)
        folder.mkdir()
        dataset = COCODataset(*write_coco(folder, [(20, 10, [square(1, 1, 5)] * number)]))
        assert len(dataset.coco.anns) == number
        assert dataset.ids == list(dataset.id_to_img_map.values()) == [10]
        sizes.append(len(ForkingPickler.dumps(dataset)))
        assert len(dataset[0][1]) == number
    assert sizes[1] - sizes[0] < 100


def test_values_needed_by_the_evaluation_are_added(tmp_path):
    path, root = write_coco(tmp_path, [(20, 10, [square(1, 1, 5), square(2, 2, 4), {"bbox": []}])])
    content = json.loads(path.read_text())
    first, second, third = content["annotations"]
    del first["area"], first["iscrowd"], second["area"]
    second["segmentation"] = {"size": [10, 20], "counts": [10, 7, 183]}
    third |= {"bbox": [1, 1, 3, 2.5], "category_id": 3}
    del third["area"]
    path.write_text(json.dumps(content))
    annotations = COCODataset(path, root).coco.loadAnns([1, 2, 3])
    assert [a["area"] for a in annotations] == [25, 7, 7.5]
    assert [a["iscrowd"] for a in annotations] == [0, 0, 0]


def test_the_file_equals_that_of_pycocotools(tmp_path):
    path, root = write_coco(tmp_path, [(20, 10, [square(1, 1, 5)] * 2), (20, 10, []), (9, 9, [])])
    content = json.loads(path.read_text())
    content["annotations"].append({**content["annotations"][0], "id": 7, "image_id": 10})
    path.write_text(json.dumps(content))
    dataset = COCODataset(path, root, True).coco.dataset
    assert dataset["images"] == sorted(content["images"], key=lambda image: image["id"])
    assert dataset["categories"] == content["categories"]
    assert dataset["annotations"] == [
        {**annotation, "id": number, "source_id": annotation["id"]}
        for number, annotation in enumerate(content["annotations"], 1)
    ]
