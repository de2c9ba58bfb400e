"""Downloads from a local server: checksum, unpacking, and what is said when it fails."""

import functools
import hashlib
import http.server
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pooch
import pytest

from hsrl_pipeline.data.sources.download import DOWNLOADS, Download, download, main
from hsrl_pipeline.errors import UserError


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "provider"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def publish(monkeypatch: pytest.MonkeyPatch, url: str, checksum: str, **fields: object) -> None:
    entry = {"home": "https://example.org", "place": "toy.zip", "licence": "free", **fields}
    monkeypatch.setitem(DOWNLOADS, "toy", Download(url=url, checksum=checksum, **entry))


def test_a_file_is_placed_under_its_official_name(
    provider: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = provider
    content = bytes(range(256)) * 1000
    (folder / "toy.zip").write_bytes(content)
    publish(monkeypatch, f"{address}/toy.zip", f"md5:{hashlib.md5(content).hexdigest()}")
    target = download("toy", tmp_path / "raw")
    assert target == tmp_path / "raw" / "toy.zip"
    assert target.read_bytes() == content
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["toy.zip"]
    (folder / "toy.zip").unlink()
    assert download("toy", tmp_path / "raw") == target  # there already: no network needed


def test_another_checksum_is_refused_and_leaves_nothing(
    provider: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = provider
    (folder / "toy.zip").write_bytes(b"tampered")
    publish(monkeypatch, f"{address}/toy.zip", f"md5:{'0' * 32}")
    with pytest.raises(UserError, match=r"checksum is not that of the release.*place it as"):
        download("toy", tmp_path / "raw")
    assert list((tmp_path / "raw").iterdir()) == []


@pytest.mark.parametrize("wrapped", [True, False])
def test_an_archive_becomes_its_folder(
    provider: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    folder, address = provider
    (tmp_path / "log.csv").write_text("a,b\n")
    with tarfile.open(folder / "toy.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "log.csv", arcname="Toy/log.csv" if wrapped else "log.csv")
    checksum = f"sha256:{pooch.file_hash(str(folder / 'toy.tar.gz'))}"
    publish(monkeypatch, f"{address}/toy.tar.gz", checksum, place="Toy", unpack=True)
    target = download("toy", tmp_path / "raw")
    assert [path.name for path in target.iterdir()] == ["log.csv"]


@pytest.mark.parametrize("inside", [[], ["part"], [".gitkeep"]])
def test_a_folder_without_data_is_not_ready(
    provider: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: list[str]
) -> None:
    folder, address = provider
    (tmp_path / "log.csv").write_text("a,b\n")
    with tarfile.open(folder / "toy.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "log.csv", arcname="Toy/log.csv")
    checksum = f"sha256:{pooch.file_hash(str(folder / 'toy.tar.gz'))}"
    publish(monkeypatch, f"{address}/toy.tar.gz", checksum, place="Toy", unpack=True)
    (tmp_path / "Toy").mkdir()
    for name in inside:
        (tmp_path / "Toy" / name).touch() if name[0] == "." else (tmp_path / "Toy" / name).mkdir()
    target = download("toy", tmp_path)
    assert [path.name for path in target.iterdir()] == ["log.csv"]


def test_an_empty_file_is_fetched_again_and_a_folder_of_data_is_left_alone(
    provider: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = provider
    (folder / "toy.zip").write_bytes(b"data")
    publish(monkeypatch, f"{address}/toy.zip", f"md5:{hashlib.md5(b'data').hexdigest()}")
    target = tmp_path / "toy.zip"
    target.touch()
    assert download("toy", tmp_path).read_bytes() == b"data"
    target.unlink()
    target.mkdir()
    (target / "mine.csv").write_text("a")
    with pytest.raises(UserError, match="a folder where the downloaded file belongs"):
        download("toy", tmp_path)
    assert (target / "mine.csv").exists()


def test_a_link_to_an_empty_folder_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "http://127.0.0.1:9/toy", "md5:0", place="Toy", unpack=True)
    (tmp_path / "disk").mkdir()
    (tmp_path / "Toy").symlink_to(tmp_path / "disk")
    with pytest.raises(UserError, match="can't make way"):
        download("toy", tmp_path)


def test_without_network_the_message_says_what_to_place_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publish(monkeypatch, "http://127.0.0.1:9/toy.zip", f"md5:{'0' * 32}")
    assert main(["toy", "--folder", str(tmp_path)]) == 1
    assert "the provider can't be reached" in caplog.text
    assert f"Fetch it by hand from https://example.org and place it as {tmp_path}" in caplog.text


def test_a_record_is_fetched_with_the_checksums_it_publishes(
    provider: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = provider
    (folder / "log.csv").write_text("a,b\n")
    checksum = pooch.file_hash(str(folder / "log.csv"))

    def load(record: pooch.Pooch) -> None:
        record.base_url = f"{address}/"
        record.registry["log.csv"] = checksum

    monkeypatch.setattr(pooch.Pooch, "load_registry_from_doi", load)
    monkeypatch.setattr(pooch, "DOIDownloader", pooch.HTTPDownloader)
    publish(monkeypatch, "doi:10.1/x", None, place="toy", unpack=True)  # type: ignore[arg-type]
    assert [path.name for path in download("toy", tmp_path).iterdir()] == ["log.csv"]


def test_unknown_names_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"nothing to download for 'tabular'.*kuairand_pure, ml100k"
    ):
        download("tabular", tmp_path)


def test_every_public_source_can_be_fetched() -> None:
    assert set(DOWNLOADS) == {"ml1m", "ml100k", "ml_latest_small", "kuairand_pure", "rl4rs"}
