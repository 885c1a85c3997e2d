"""Download weights once, with resuming and sha256 verification."""

import hashlib
import http.client
import logging
import os
import re
from collections.abc import Callable
from email.message import Message
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tqdm import tqdm

from maskrcnn_benchmark.utils.comm import all_gather, is_main_process
from maskrcnn_benchmark.utils.folder_lock import one_at_a_time

_TIMEOUT = 30  # seconds without a response
_BLOCK = 1 << 18  # bytes per read
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
_HOSTS_WITH_HASHES = (
    "download.pytorch.org",
    "download.openmmlab.com",
)  # hosts whose file names end in a prefix of the sha256


def is_url(name: str) -> bool:
    """Return whether ``name`` is a URL (``scheme://...``) rather than a path."""
    return "://" in name


def expected_sha256(url: str) -> str | None:
    """Return the sha256, or a prefix of it, that is part of a URL; None if there is none.

    Any URL may end in ``#sha256=<hex digits>``; download.pytorch.org and download.openmmlab.com
    put the first eight digits in the file name.

    Raises:
        ValueError: the fragment after ``#`` has another form.
    """
    parts = urlsplit(url)
    if parts.fragment:
        given = re.fullmatch(r"sha256=([0-9a-fA-F]{8,64})", parts.fragment)
        if given is None:
            raise ValueError(f"{url}: the part after '#' must be sha256=<8 to 64 hex digits>")
        return given[1].lower()
    named = _HASH_IN_NAME.search(parts.path)
    return named[1] if named and parts.hostname in _HOSTS_WITH_HASHES else None


def path_for_url(url: str) -> Path:
    """Return the relative path at which the file of a URL is cached: ``<host>/<path>``.

    Raises:
        ValueError: ``url`` is not the http or https URL of a file.
    """
    parts = urlsplit(url)
    names = [name for name in parts.path.split("/") if name not in ("", ".", "..")]
    if parts.scheme not in ("http", "https") or not parts.hostname or not names:
        raise ValueError(f"{url!r} is not the http:// or https:// URL of a file")
    path = PurePosixPath(parts.netloc.rpartition("@")[2].replace(":", "_"), *names)
    if parts.query:
        digest = hashlib.sha256(parts.query.encode()).hexdigest()[:8]
        path = path.with_name(f"{path.stem}.{digest}{path.suffix}")
    return Path(path)


def fetch(url: str, target: Path) -> Path:
    """Download ``url`` to ``target`` if it does not exist, and return ``target``.

    In a distributed job, rank 0 downloads while the others wait.

    Args:
        url: an http or https URL; a trailing ``#sha256=<hex>`` is verified.
        target: path of the file, created only when the download is complete.

    Raises:
        OSError: the download failed; the message suggests what to do.
        ValueError: the sha256 of the file does not match.
    """
    once_per_job(lambda: download(url, target), target)
    return target


def once_per_job(make: Callable[[], None], target: Path) -> None:
    """Create a file on rank 0 while the other ranks wait.

    Args:
        make: creates the file if it does not exist.
        target: the file.

    Raises:
        OSError: ``make`` raised it on rank 0, or the file is not visible on this machine.
        ValueError: ``make`` raised it on rank 0.
    """
    problem: Exception | None = None
    if is_main_process():
        try:
            make()
        except (OSError, ValueError) as error:
            problem = error
    problem = all_gather(problem)[0]  # a barrier; if rank 0 failed, all ranks raise its error
    if problem is not None:
        raise problem
    if not target.is_file():
        raise FileNotFoundError(
            f"rank 0 has {target}, but it is missing on this machine: put MODEL.PRETRAINED_MODELS "
            "on a disk that all machines share, or copy the file to each of them"
        )


def download(url: str, target: Path) -> None:
    """Download ``url`` to ``target`` if it does not exist, and verify its sha256 in any case.

    Arguments and errors are those of ``fetch``.
    """
    sha256 = expected_sha256(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(target.parent):
        if target.is_file():
            if sha256 is not None and not _sha256(target).startswith(sha256):
                raise ValueError(f"{target} is not {url}; delete it to download that")
            return
        logging.getLogger(__name__).info(f"Downloading {url} to {target}")
        part = target.with_name(f"{target.name}.part")
        try:
            _download(url.partition("#")[0], part)
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(
                f"could not download {url} ({_reason(error)}). Run again to resume the download, "
                f"or download it by other means to {target.absolute()}"
            ) from error
        if sha256 is not None and not (found := _sha256(part)).startswith(sha256):
            part.unlink()
            raise ValueError(f"{url} returned a file with sha256 {found}; it was deleted")
        part.replace(target)
        _tag_file(part).unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """Return a short description of a connection error."""
    if isinstance(error, HTTPError):
        return f"the server responded {error.code} {error.reason}"
    return str(error.reason if isinstance(error, URLError) else error) or type(error).__name__


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _tag_file(part: Path) -> Path:
    """Return the file that records which version of the remote file ``part`` belongs to."""
    return part.with_name(f"{part.name}.tag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _download(url: str, part: Path) -> None:
    """Complete ``part``, reconnecting as long as each connection makes progress."""
    while True:
        before = _size(part)
        problem: Exception | None = None
        total = None
        try:
            total = _transfer(url, part)
        except HTTPError:
            raise
        except (OSError, http.client.HTTPException) as error:
            problem = error
        size = _size(part)
        if problem is None and total in (None, size):
            return
        if size <= before:
            raise problem or ConnectionError(f"received {size} of {total} bytes")


def _transfer(url: str, part: Path) -> int | None:
    """Append the data of one connection to ``part``; return the total size if known."""
    start, tag = _size(part), _tag_file(part)
    request = Request(url, headers={"User-Agent": "maskrcnn_benchmark"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if tag.is_file():
            request.add_header("If-Range", tag.read_text(encoding="utf-8"))
    try:
        response = urlopen(request, timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
            raise
        total = _number(error.headers.get("Content-Range", "").rpartition("/")[2])
        if total != start:
            part.unlink()  # longer than the file, so it belongs to another version
            return _transfer(url, part)
        return total
    with response:
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            total = _number(response.headers.get("Content-Length", ""))
            _note_version(response.headers, tag)
            with part.open("wb") as file:
                _copy(response, file, 0, total)
            return total
        span = response.headers.get("Content-Range", "")
        if not span.startswith(f"bytes {start}-"):
            raise ConnectionError(f"requested bytes from {start} on, got {span!r}")
        total = _number(span.rpartition("/")[2])
        with part.open("ab") as file:
            _copy(response, file, start, total)
        return total


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _note_version(headers: Message, tag: Path) -> None:
    """Record the version (ETag or date) of the remote file for ``If-Range``."""
    etag = headers.get("ETag", "")
    version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    if version:
        tag.write_text(version, encoding="utf-8")
    else:
        tag.unlink(missing_ok=True)


def _copy(source: HTTPResponse, file: IO[bytes], start: int, total: int | None) -> None:
    """Write the response body to ``file``, with a progress bar on a terminal."""
    with tqdm(total=total, initial=start, unit="B", unit_scale=True, disable=None) as bar:
        while block := source.read(_BLOCK):
            file.write(block)
            bar.update(len(block))
    file.flush()
    os.fsync(file.fileno())
