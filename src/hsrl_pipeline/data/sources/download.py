"""Fetch public raw data from its providers: ``python -m hsrl_pipeline.data.sources.download ml1m``.

A file is put in place only after its checksum matched. Without network, one message says which file
to place where.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pooch

from hsrl_pipeline.atomic import move_into_place
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.progress import Progress

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 16
TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Download:
    """Where a data set is published and what it becomes below the folder of raw files.

    Attributes:
        url: Address of the file, or the DOI of a record whose files are all wanted.
        checksum: ``algorithm:hex``; None where the record publishes checksums itself.
        home: Page about the data set, for those who must fetch it by hand.
        place: File or folder that ingestion looks for below the folder of raw files.
        licence: Terms in a few words.
        unpack: Whether the file is an archive that becomes the folder ``place``.
    """

    url: str
    checksum: str | None
    home: str
    place: str
    licence: str
    unpack: bool = False


DOWNLOADS = {
    "ml1m": Download(
        url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        checksum="md5:c4d9eecfca2ab87c1945afe126590906",
        home="https://grouplens.org/datasets/movielens/1m/",
        place="ml-1m.zip",
        licence="research use, no redistribution",
    ),
    "ml100k": Download(
        url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        checksum="md5:0e33842e24a9c977be4e0107933c0723",
        home="https://grouplens.org/datasets/movielens/100k/",
        place="ml-100k.zip",
        licence="research use, no redistribution",
    ),
    "ml_latest_small": Download(
        url="https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",
        checksum="sha256:696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
        home="https://grouplens.org/datasets/movielens/latest/",
        place="ml-latest-small.zip",
        licence="research use, no redistribution",
    ),
    "kuairand_pure": Download(
        url="https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz",
        checksum="md5:0820331067a3784d9691136f772b35a7",
        home="https://kuairand.com",
        place="KuaiRand-Pure",
        licence="CC BY-SA 4.0",
        unpack=True,
    ),
    "rl4rs": Download(
        url="doi:10.5281/zenodo.6622390",
        checksum=None,
        home="https://zenodo.org/records/6622390",
        place="rl4rs",
        licence="CC BY-NC-SA 4.0",
        unpack=True,
    ),
}
"""Public data sets by the name of their source."""


def download(dataset: str, folder: Path) -> Path:
    """Fetch the raw files of a data set, unless they are there.

    Args:
        dataset: Name of the source.
        folder: Folder of raw files.

    Returns:
        The file or folder that ingestion reads.

    Raises:
        UserError: The name is unknown, the provider can't be reached, or the checksum differs.
    """
    if dataset not in DOWNLOADS:
        raise UserError(
            f"There is nothing to download for {dataset!r}",
            remedy=f"Data sets to download: {', '.join(sorted(DOWNLOADS))}. The synthetic one "
            "needs no download, and tabular is your own.",
        )
    wanted = DOWNLOADS[dataset]
    target = folder / wanted.place
    if _is_ready(target, wanted):
        logger.info("%s is there already", target)
        return target
    if target.is_dir():
        _remove_empty(target)
    folder.mkdir(parents=True, exist_ok=True)
    logger.info("%s: %s. Licence: %s", dataset, wanted.home, wanted.licence)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        try:
            files = _fetch(wanted, Path(scratch))
        except (OSError, ValueError) as error:
            raise _refusal(dataset, wanted, target, error) from error
        if wanted.unpack:
            _put_unpacked(files, Path(scratch) / "unpacked", target)
        else:
            move_into_place(files[0], target)
    return target


def _is_ready(target: Path, wanted: Download) -> bool:
    """Return whether a target holds data; an empty file, or folders without files, do not."""
    if target.is_dir() and wanted.unpack:
        return any(path.is_file() and path.name != ".gitkeep" for path in target.rglob("*"))
    return target.is_file() and not wanted.unpack and target.stat().st_size > 0


def _remove_empty(target: Path) -> None:
    """Remove a folder that holds no data, so that the fetched one can take its place.

    Raises:
        UserError: It holds files where one file belongs, or can't be removed, as a mounted disk.
    """
    if any(path.is_file() and path.name != ".gitkeep" for path in target.rglob("*")):
        raise UserError(
            "there is a folder where the downloaded file belongs",
            where=str(target),
            remedy="Move the folder away, then download again.",
        )
    try:
        shutil.rmtree(target)
    except OSError as error:
        raise UserError(
            f"the empty folder can't make way for the download: {error.strerror or error}",
            where=str(target),
            remedy="Remove the link or unmount the disk, or name another place with --folder.",
        ) from error


def _fetch(wanted: Download, scratch: Path) -> list[Path]:
    """Return the fetched files, their checksums verified."""
    if wanted.checksum is not None:
        name = wanted.url.rsplit("/", 1)[-1]
        fetched = pooch.retrieve(
            wanted.url, wanted.checksum, fname=name, path=scratch, downloader=_downloader(name)
        )
        return [Path(fetched)]
    record = pooch.create(path=scratch, base_url=f"{wanted.url}/")
    record.load_registry_from_doi()
    return [
        Path(record.fetch(name, downloader=pooch.DOIDownloader(progressbar=_Bar(name))))
        for name in record.registry_files
    ]


def _downloader(name: str) -> pooch.HTTPDownloader:
    return pooch.HTTPDownloader(
        progressbar=_Bar(name), chunk_size=CHUNK_BYTES, timeout=TIMEOUT_SECONDS
    )


def _put_unpacked(files: list[Path], scratch: Path, target: Path) -> None:
    """Unpack archives and move what they hold into the folder ``target`` in one step."""
    scratch.mkdir()
    for file in files:
        if tarfile.is_tarfile(file):
            with tarfile.open(file) as archive:
                archive.extractall(scratch, filter="data")
        elif zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                archive.extractall(scratch)
        else:
            shutil.move(file, scratch / file.name)
    inner = [path for path in scratch.iterdir() if not path.name.startswith(".")]
    only_folder = len(inner) == 1 and inner[0].is_dir()
    move_into_place(inner[0] if only_folder else scratch, target)


def _refusal(dataset: str, wanted: Download, target: Path, error: Exception) -> UserError:
    what = (
        f"the file's checksum is not that of the release this project knows ({error})"
        if "hash" in str(error)
        else f"the provider can't be reached ({type(error).__name__})"
    )
    kind = "unpack it there as the folder" if wanted.unpack else "place it as"
    return UserError(
        f"{dataset} could not be downloaded: {what}",
        where=wanted.url,
        remedy=f"Fetch it by hand from {wanted.home} and {kind} {target}.",
    )


class _Bar:
    """What pooch calls while it downloads, shown as the project's own progress."""

    def __init__(self, name: str) -> None:
        self.total = 0
        self._name = name
        self._progress: Progress | None = None
        self._finished = False

    def update(self, count: int) -> None:
        """Count bytes."""
        if self._finished:
            return
        if self._progress is None:
            self._progress = Progress(f"Downloading {self._name}", self.total, unit="bytes")
            self._progress.__enter__()
        self._progress.advance(count)

    def reset(self) -> None:
        """Pooch counts all bytes once more at the end; ignore that."""
        self._finished = True

    def close(self) -> None:
        """Finish the display."""
        if self._progress is not None:
            self._progress.__exit__(None, None, None)


def main(arguments: list[str] | None = None) -> int:
    """Download one data set; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="hsrl_pipeline.data.sources.download", description=__doc__
    )
    parser.add_argument("dataset", help=f"one of: {', '.join(sorted(DOWNLOADS))}")
    parser.add_argument(
        "--folder", type=Path, default=Path("data/01_raw"), help="folder of raw files"
    )
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("pooch").setLevel(logging.WARNING)
    pooch.get_logger().setLevel("WARNING")
    try:
        path = download(asked.dataset, asked.folder)
    except UserError as error:
        logger.error("%s", error)
        return 1
    except OSError as error:
        logger.error(
            "Nothing was downloaded: %s (%s). Make room or name another place with --folder.",
            error.strerror or error,
            error.filename or asked.folder,
        )
        return 1
    logger.info("Ready: %s. Next: kedro run --env %s", path, asked.dataset)
    return 0


if __name__ == "__main__":
    sys.exit(main())
