"""A file read in pieces or from the cache is what the whole reading of it gives."""

import json
import logging
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from maskrcnn_benchmark.data.coco_json import cache, chunks, coco_file, load
from maskrcnn_benchmark.data.coco_json.coco_file import judge_content
from maskrcnn_benchmark.data.coco_json.pack import PackedRecords
from maskrcnn_benchmark.data.coco_json.read import read_content
from maskrcnn_benchmark.data.datasets import COCODataset
from maskrcnn_benchmark.utils.user_error import UserError
from tests.data.fuzz import base

QUICK = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Cache small files too; return the folder."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "MIN_SIZE", 0)
    cache._warn.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(chunks, "_PIECE", 500)  # less than two annotations


@pytest.fixture
def three_processes(monkeypatch):
    """Parse files of any size in three processes, and judge boxes two by two."""
    monkeypatch.setattr(chunks, "_LEAST_SHARE", 1)
    monkeypatch.setattr(chunks, "usable_processors", lambda: 3)
    monkeypatch.setattr(coco_file, "_PART", 2)


def write(folder, content=None):
    path = folder / "annotations.json"
    path.write_text(json.dumps(content or base.make_base()))
    return path


def parts(file):
    """All that a file consists of; the types of numbers too."""
    values = (file.categories, list(file.images), list(file.annotations), file.learned)
    return repr(values), file.rows.tolist(), file.left_out.tolist(), file.problems


def whole(path):
    return judge_content(read_content(path), 1)


ORDERS = [("images", "annotations", "categories"), ("images", "categories", "annotations")]
ORDERS += [("categories", "images", "annotations")]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_sound_file_is_read_in_pieces(tmp_path, small_pieces, order, indent):
    content = base.make_base()
    content["annotations"][2]["area"] = float("nan")
    content["annotations"][3]["note"] = 'a "b", [}, {] 名前'
    content = {"info": {"annotations": 3}, **{key: content[key] for key in order}, "more": [1]}
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=False), encoding="utf-8")
    found = chunks.read_chunks(path, 1, None)
    assert found is not None
    assert parts(found) == parts(whole(path))


def test_a_sound_file_is_read_by_several_processes(tmp_path, small_pieces, three_processes, capfd):
    content = base.make_base()
    content["annotations"] = [
        {**annotation, "id": number}
        for number, annotation in enumerate(content["annotations"] * 5, 1)
    ]
    content["annotations"][20]["area"] = float("nan")  # unusual, but no problem
    path = write(tmp_path, content)
    found = chunks.read_chunks(path, 1, None)
    assert multiprocessing.active_children() == []
    assert found is not None
    assert parts(found) == parts(whole(path))
    assert [record["source_id"] for record in found.annotations] == [*range(1, 41)]
    content["annotations"][20]["iscrowd"] = 2
    write(tmp_path, content)
    assert chunks.read_chunks(path, 1, None) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="one process elsewhere")
def test_a_killed_process_is_not_the_end_of_the_file(
    tmp_path, small_pieces, three_processes, monkeypatch
):
    path = write(tmp_path)
    monkeypatch.setattr(chunks, "_loads", lambda _: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(UserError, match="was killed"):
        chunks.read_chunks(path, 1, None)


def test_what_is_unusual_is_left_to_the_whole_reading(tmp_path, small_pieces):
    content = base.make_base()
    last = {"annotations": content.pop("annotations")}
    sound = json.dumps({**content, **last})
    entry = json.dumps(content["images"][0])
    odd = [sound[:-9], sound + "x", "", "[]", sound.replace('"id": 8', '"id": 8,')]
    odd += [json.dumps({**last, **content}), f'{sound[:-1]}, "annotations": []}}']
    odd += [f'{sound[:-1]}, "images": [{entry}]}}', f'{sound[:-1]}, "categories": []}}']
    odd += [sound.replace('"iscrowd": 1', '"iscrowd": 2'), sound.replace("]]}]", ']]}]}, "a": [1')]
    path = tmp_path / "annotations.json"
    for text in odd:
        path.write_text(text)
        assert chunks.read_chunks(path, 1, None) is None, text[-60:]


def test_pieces_are_the_whole_for_any_json(tmp_path, small_pieces):
    path, taken = tmp_path / "annotations.json", []

    @settings(max_examples=150, derandomize=True, **QUICK)
    @given(content=base.mutated())
    def check(content):
        path.write_bytes(content)
        found = chunks.read_chunks(path, 1, None)
        taken.append(found is not None)
        if found is not None:
            assert parts(found) == parts(whole(path))

    check()
    assert 20 < sum(taken) < len(taken)


def test_the_second_start_reads_the_cache(tmp_path, cached, monkeypatch, caplog):
    path = write(tmp_path)
    expected = parts(whole(path))
    with caplog.at_level(logging.INFO):
        assert parts(load.read_coco(path, 1)) == expected
    assert [record.message[:6] for record in caplog.records] == ["cached"]
    assert len(list(cached.iterdir())) == 1
    monkeypatch.setattr(load, "_read", None)  # fails if it is called
    assert parts(load.read_coco(path, 1)) == expected
    base.write_images(tmp_path)
    dataset = COCODataset(path, tmp_path)
    assert [len(dataset[i][1]) for i in range(3)] == [3, 2, 2]
    with pytest.raises(TypeError):
        load.read_coco(path, 0)  # another convention
    content = base.make_base()
    content["annotations"][0]["bbox"] = [1, 1, 20, 21]
    write(tmp_path, content)
    with pytest.raises(TypeError):
        load.read_coco(path, 1)


def test_odd_but_valid_files_are_cached_too(tmp_path, cached, monkeypatch):
    content = base.make_base()
    content = {"annotations": content["annotations"], **content}
    path = write(tmp_path, content)
    assert chunks.read_chunks(path, 1, None) is None
    expected = parts(load.read_coco(path, 1))
    monkeypatch.setattr(load, "_read", None)
    assert parts(load.read_coco(path, 1)) == expected == parts(whole(path))
    monkeypatch.undo()


def test_keypoints_and_frequencies_are_cached(tmp_path, cached, monkeypatch):
    content = base.make_base()
    content["categories"][0] |= {"keypoints": ["head", "tail"], "skeleton": [[1, 2]]}
    content["categories"][1]["frequency"] = "r"
    for entry in content["annotations"][:2]:
        entry["keypoints"] = [1, 2, 2, 3, 4, 0]
    path = write(tmp_path, content)
    expected = parts(whole(path))
    assert "KeypointSet(keypoint_names=['head', 'tail'], skeleton=[[0, 1]])" in expected[0]
    assert "'keypoints': [1, 2, 2, 3, 4, 0], 'num_keypoints': 1" in expected[0]
    assert parts(load.read_coco(path, 1)) == expected
    monkeypatch.setattr(load, "_read", None)  # fails if it is called
    assert parts(load.read_coco(path, 1)) == expected


@pytest.mark.parametrize("content", [{"annotations": []}, {}])
def test_no_annotations(tmp_path, cached, content):
    content = {**{key: base.make_base()[key] for key in ("images", "categories")}, **content}
    path = write(tmp_path, content)
    for _ in range(2):
        assert parts(load.read_coco(path, 1)) == parts(whole(path))


def test_refused_files_are_not_cached(tmp_path, cached):
    content = base.make_base()
    content["annotations"][5]["category_id"] = 99
    path = write(tmp_path, content)
    for _ in range(2):
        with pytest.raises(ValueError, match="annotation id 6: there is no category id 99"):
            load.read_coco(path, 1)
    assert list(cached.iterdir()) == []


def test_a_broken_cache_is_written_anew(tmp_path, cached):
    path = write(tmp_path)
    expected = parts(load.read_coco(path, 1))
    (file,) = cached.iterdir()
    good = file.read_bytes()
    changed = bytearray(good)
    changed[100] ^= 1
    for bad in (b"", b"x", good[:-1], good[:-40], bytes(changed), good + b"x", bytes(len(good))):
        file.write_bytes(bad)
        assert parts(load.read_coco(path, 1)) == expected
        assert file.read_bytes() == good
    assert list(cached.iterdir()) == [file]


def test_unpacking_runs_no_code():
    packed = PackedRecords([os.getcwd, 1])
    assert packed[1] == 1
    with pytest.raises(Exception, match="getcwd is no plain value"):
        packed[0]


def test_a_folder_that_cannot_be_written_to(tmp_path, cached, caplog):
    path = write(tmp_path)
    cached.write_text("")  # a file; root may write to any folder
    for _ in range(2):
        assert parts(load.read_coco(path, 1)) == parts(whole(path))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"not cached in {cached}" in record.message


def test_switched_off_and_small_files(tmp_path, cached, monkeypatch):
    path = write(tmp_path)
    monkeypatch.setattr(cache, "MIN_SIZE", path.stat().st_size + 1)
    load.read_coco(path, 1)
    monkeypatch.setattr(cache, "MIN_SIZE", 0)
    monkeypatch.setenv(cache.CACHE_VARIABLE, "off")
    load.read_coco(path, 1)
    assert not cached.exists()
    assert not Path("off").exists()


def test_old_files_are_deleted(tmp_path, cached):
    path = write(tmp_path)
    load.read_coco(path, 1)
    (file,) = cached.iterdir()
    os.utime(file, (0, 0))
    load.read_coco(path, 1)  # it is used
    load.read_coco(path, 0)
    assert file in cached.iterdir()
    os.utime(file, (0, 0))
    load.read_coco(path, 0.5)
    assert file not in cached.iterdir()
    assert len(list(cached.iterdir())) == 2


def _read_in_process(path, queue):
    cache.MIN_SIZE = 0
    queue.put(parts(load.read_coco(path, 1)))


def test_two_processes_at_once(tmp_path, cached):
    path = write(tmp_path)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    workers = [context.Process(target=_read_in_process, args=(path, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    assert found[0] == found[1] == parts(whole(path))
    assert len(list(cached.iterdir())) == 1
    assert torch.equal(load.read_coco(path, 1).rows, whole(path).rows)
