"""Raw files as they were downloaded: an official zip, or the folder it unpacks to."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from hsrl_pipeline.errors import UserError


@dataclass(frozen=True)
class RawArchive:
    """A data set's files in a folder or in a zip of the same name.

    The unpacked folder wins where both exist.

    Attributes:
        folder: The folder of raw files (``data/01_raw``).
        name: Name of the unpacked folder and, with ``.zip``, of the archive.
        dataset: Name of the dataset, for messages.
    """

    folder: Path
    name: str
    dataset: str

    @property
    def archive(self) -> Path:
        """Where the zip is expected."""
        return self.folder / f"{self.name}.zip"

    def _unpacked(self) -> Path | None:
        path = self.folder / self.name
        return path if path.is_dir() else None

    def _remedy(self) -> str:
        return (
            f"Run `make data DATASET={self.dataset}`, or place the official {self.name}.zip "
            f"(or the folder {self.name}/ that it unpacks to) in {self.folder}."
        )

    def extract(self, member: str, workspace: Path) -> Path:
        """Return the path of a file, unpacked into the workspace when it comes from the zip.

        Args:
            member: File name within the data set, for example ``"ratings.dat"``.
            workspace: Scratch folder.

        Raises:
            UserError: Neither zip nor folder exists, the zip is damaged, or the file is missing.
        """
        unpacked = self._unpacked()
        if unpacked is not None:
            path = unpacked / member
            if not path.is_file():
                raise UserError(f"{path} does not exist", remedy=self._remedy())
            return path
        target = workspace / member
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as archive:
            try:
                with archive.open(f"{self.name}/{member}") as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
            except KeyError as error:
                raise UserError(
                    f"{self.archive.name} holds no {self.name}/{member}",
                    where=str(self.archive),
                    remedy=self._remedy(),
                ) from error
            except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
                raise self._damaged(error) from error
        return target

    def read_text(self, member: str, workspace: Path, encoding: str = "utf-8") -> str:
        """Return a small text file whole.

        Raises:
            UserError: As for `extract`, or the text is not in the expected encoding.
        """
        remedy = f"Save the file as {encoding}, or restore the official file."
        return decode_text(
            self.extract(member, workspace).read_bytes(), member, remedy, encoding=encoding
        )

    def _open(self) -> zipfile.ZipFile:
        if not self.archive.is_file():
            raise UserError(
                f"The raw data of {self.dataset} is missing: there is no {self.archive}",
                remedy=self._remedy(),
            )
        try:
            return zipfile.ZipFile(self.archive)
        except (zipfile.BadZipFile, OSError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> UserError:
        return UserError(
            f"{self.archive.name} is damaged: {error}",
            where=str(self.archive),
            remedy=f"Delete it. {self._remedy()}",
        )


def decode_text(data: bytes, name: str, remedy: str, *, encoding: str = "utf-8") -> str:
    """Return the text of a small file.

    Args:
        data: Content of the file.
        name: Name of the file, for messages.
        remedy: What to do when the text is in another encoding.
        encoding: Expected encoding.

    Raises:
        UserError: The text is not in the expected encoding; names the line.
    """
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{name} is not {encoding} text", where=f"{name}, line {line}", remedy=remedy
        ) from error


def find_folder(raw_folder: Path, name: str, dataset: str) -> Path:
    """Return the unpacked folder of a dataset; case does not matter in its name.

    Args:
        raw_folder: The folder of raw files (``data/01_raw``).
        name: Official name of the dataset's folder.
        dataset: Name of the dataset, for messages.

    Raises:
        UserError: There is no such folder.
    """
    places = sorted(raw_folder.iterdir()) if raw_folder.is_dir() else []
    for path in (raw_folder / name, *places):
        if path.name.lower() == name.lower() and path.is_dir():
            return path
    raise UserError(
        f"The raw data of {dataset} is missing: there is no folder {raw_folder / name}",
        remedy=f"Run `make data DATASET={dataset}`, or unpack the official files there.",
    )
