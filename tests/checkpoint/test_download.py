import hashlib
import io
import sys
import threading

import pytest
import torch.distributed as dist
import torch.multiprocessing as mp

from maskrcnn_benchmark.checkpoint import download as model_zoo
from maskrcnn_benchmark.checkpoint.download import expected_sha256, fetch, path_for_url
from tests.helpers.file_server import FileServer, serve

CONTENT = bytes(range(256)) * 4
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with serve() as running:
        running.content = CONTENT
        yield running


def ranges(server: FileServer) -> list[str | None]:
    return [headers.get("Range") for headers in server.requests]


def test_a_file_is_downloaded_once_and_nothing_else_is_left(server, tmp_path):
    target = tmp_path / "a" / "w.pth"
    for _ in range(2):
        assert fetch(f"{server.url}/w.pth", target) == target
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["w.pth"]
    assert len(server.requests) == 1


def test_broken_connections_are_resumed(server, tmp_path):
    server.cuts = [600, 300]
    assert fetch(f"{server.url}/w.pth", tmp_path / "w.pth").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=600-", "bytes=900-"]
    assert server.requests[1]["If-Range"] == server.etag


def test_a_later_run_resumes_an_interrupted_download(server, tmp_path):
    server.cuts = [600, 0]
    with pytest.raises(ConnectionError, match="received 600 of 1024 bytes.*Run again to resume"):
        fetch(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert not (tmp_path / "w.pth").exists()
    assert (tmp_path / "w.pth.part").read_bytes() == CONTENT[:600]
    assert fetch(f"{server.url}/w.pth", tmp_path / "w.pth").read_bytes() == CONTENT
    assert ranges(server)[2] == "bytes=600-"


def test_an_interrupted_download_keeps_its_partial_file(server, tmp_path, monkeypatch):
    real = model_zoo.tqdm.update
    monkeypatch.setattr(model_zoo, "_BLOCK", 100)

    def stop(bar, count):
        real(bar, count)
        raise KeyboardInterrupt

    monkeypatch.setattr(model_zoo.tqdm, "update", stop)
    with pytest.raises(KeyboardInterrupt):
        fetch(f"{server.url}/w.pth", tmp_path / "w.pth")
    monkeypatch.setattr(model_zoo.tqdm, "update", real)
    assert (tmp_path / "w.pth.part").read_bytes() == CONTENT[:100]
    assert fetch(f"{server.url}/w.pth", tmp_path / "w.pth").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=100-"]


def test_a_file_that_changed_meanwhile_is_downloaded_again(server, tmp_path):
    server.cuts = [600, 0]
    with pytest.raises(ConnectionError):
        fetch(f"{server.url}/w.pth", tmp_path / "w.pth")
    server.content, server.etag = CONTENT[::-1], '"2"'
    assert fetch(f"{server.url}/w.pth", tmp_path / "w.pth").read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_restarts_the_download(server, tmp_path):
    server.ranges = False
    server.cuts = [600]
    assert fetch(f"{server.url}/w.pth", tmp_path / "w.pth").read_bytes() == CONTENT


def test_a_truncating_server_is_an_error(server, tmp_path):
    server.ranges = False
    server.cuts = [600] * 9
    with pytest.raises(ConnectionError, match="received 600 of 1024 bytes"):
        fetch(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert len(server.requests) == 2
    assert not (tmp_path / "w.pth").exists()


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"x", b"y" * 5000], ids=len)
def test_a_partial_file_that_is_complete_or_too_long(server, tmp_path, part):
    (tmp_path / "w.pth.part").write_bytes(part)
    assert fetch(f"{server.url}/w.pth", tmp_path / "w.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("digits", [8, 64])
def test_the_sha256_of_the_url_is_checked(server, tmp_path, digits):
    url = f"{server.url}/w.pth#sha256="
    target = tmp_path / "w.pth"
    assert fetch(url + SHA256[:digits].upper(), target) == target
    wrong = url + "0" * digits
    with pytest.raises(ValueError, match="w.pth is not http.*delete it"):
        fetch(wrong, target)
    assert target.read_bytes() == CONTENT  # it may be the user's file
    target.unlink()
    with pytest.raises(ValueError, match=rf"file with sha256 {SHA256}; it was deleted"):
        fetch(wrong, target)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".tag"]


def test_without_a_connection_the_error_names_the_url_and_the_target_path(tmp_path):
    with serve() as server:
        gone = f"{server.url}/w.pth"
    with pytest.raises(ConnectionError, match=rf"{gone} \(.*refused.*means to {tmp_path}/w.pth"):
        fetch(gone, tmp_path / "w.pth")


def test_a_wrong_url(server, tmp_path):
    with pytest.raises(ConnectionError, match=r"/missing \(the server responded 404 Not Found\)"):
        fetch(f"{server.url}/missing", tmp_path / "w.pth")
    assert list(tmp_path.iterdir()) == []


def test_urls_have_distinct_paths():
    paths = [
        path_for_url(url).as_posix()
        for url in (
            "https://example.org/a/model_final.pkl",
            "https://example.org/b%3Ac/model_final.pkl#sha256=00000000",
            "http://user:secret@example.org:81//../x/./w.pth",
            "https://example.org/w.pth?download=1",
            "https://example.org/w.pth?download=2",
        )
    ]
    assert paths[:3] == [
        "example.org/a/model_final.pkl",
        "example.org/b%3Ac/model_final.pkl",
        "example.org_81/x/w.pth",
    ]
    assert all(p.startswith("example.org/w.") and p.endswith(".pth") for p in paths[3:])
    assert len(set(paths)) == 5
    for url in ("ftp://example.org/w.pth", "file:///etc/passwd", "https://example.org", "s3://x/y"):
        with pytest.raises(ValueError, match="is not the http:// or https:// URL of a file"):
            path_for_url(url)


def test_hashes_in_urls():
    assert expected_sha256("https://example.org/resnet50-0676ba61.pth") is None
    pytorch = "https://download.pytorch.org/models"
    assert expected_sha256(f"{pytorch}/resnet50-0676ba61.pth") == "0676ba61"
    assert expected_sha256(f"{pytorch}/resnet50.pth") is None
    assert expected_sha256(f"https://example.org/w.pth#sha256={SHA256}") == SHA256
    for fragment in ("sha256=12", "sha256=" + "0" * 65, "md5=00000000", "sha256=0000000g"):
        with pytest.raises(ValueError, match="after '#' must be sha256="):
            expected_sha256(f"https://example.org/w.pth#{fragment}")


def test_progress_is_shown_only_on_a_terminal(server, tmp_path, monkeypatch):
    for is_terminal in (False, True):
        stream = io.StringIO()
        stream.isatty = lambda answer=is_terminal: answer
        monkeypatch.setattr(sys, "stderr", stream)
        fetch(f"{server.url}/w.pth", tmp_path / str(is_terminal))
        assert ("1.02k/1.02k" in stream.getvalue()) == is_terminal


def test_two_jobs_at_once_download_once(server, tmp_path):
    jobs = [
        threading.Thread(target=fetch, args=(f"{server.url}/w.pth", tmp_path / "w.pth"))
        for _ in range(4)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert len(server.requests) == 1


def _process(rank: int, url: str, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    target = model_zoo.Path(folder) / "w.pth"
    assert fetch(f"{url}/w.pth", target).read_bytes() == CONTENT
    with pytest.raises(ConnectionError, match="404"):  # on both ranks: no deadlock
        fetch(f"{url}/missing", target.with_name("other.pth"))
    # a machine that does not share the disk of rank 0
    own = target.with_name(f"of_{rank}.pth")
    if rank == 0:
        fetch(f"{url}/w.pth", own)
    else:
        with pytest.raises(FileNotFoundError, match="MODEL.PRETRAINED_MODELS on a disk that all"):
            fetch(f"{url}/w.pth", own)
    dist.destroy_process_group()


def test_only_the_main_process_of_a_job_downloads(server, tmp_path):
    mp.spawn(_process, args=(server.url, str(tmp_path)), nprocs=2)
    assert len(server.requests) == 3  # by rank 0: w.pth, missing, of_0.pth
