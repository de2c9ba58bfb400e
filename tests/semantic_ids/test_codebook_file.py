from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hsrl_pipeline.config.sid import SidConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.codebook_file import read_codebook, write_codebook
from hsrl_pipeline.semantic_ids.tokenization import tokenize


@pytest.fixture(scope="module", params=["keep", "reassign", "suffix"])
def codebook(request: pytest.FixtureRequest) -> Codebook:
    rows = np.random.default_rng(0).standard_normal((61, 4)).astype(np.float32)
    config = SidConfig(n_levels=2, vocab_size=[9, 8], collisions=request.param, n_restarts=1)
    return tokenize(rows, config, seed=0, provenance={"dataset": "tiny"})


def test_what_is_written_is_read(codebook: Codebook, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "codebook.safetensors"
    write_codebook(path, codebook)
    loaded = read_codebook(str(path))
    assert loaded.version == codebook.version
    assert (loaded.codes == codebook.codes).all()
    assert loaded.vocab_sizes == codebook.vocab_sizes
    assert loaded.collisions == codebook.collisions
    assert loaded.metadata == codebook.metadata
    new = np.random.default_rng(1).standard_normal((1, 4)).astype(np.float32)
    assert (loaded.add_items(new).codes == codebook.add_items(new).codes).all()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["codebook.safetensors"]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist\. Run the sid_token"):
        read_codebook(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"not a codebook at all"])
def test_unreadable_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "codebook.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not a readable codebook"):
        read_codebook(path)


def test_a_file_without_header_is_no_codebook(tmp_path: Path) -> None:
    path = tmp_path / "codebook.safetensors"
    save_file({"codes": np.zeros((2, 2), np.int64)}, path)
    with pytest.raises(UserError, match="is not a readable codebook"):
        read_codebook(path)


def test_a_changed_file_is_refused(codebook: Codebook, tmp_path: Path) -> None:
    from safetensors import safe_open

    path = tmp_path / "codebook.safetensors"
    write_codebook(path, codebook)
    with safe_open(path, framework="numpy") as file:
        header = file.metadata()
    arrays = load_file(path)
    arrays["centroids_0"] = arrays["centroids_0"] + 1
    save_file(arrays, path, metadata=header)
    with pytest.raises(UserError, match=r"was changed after it was saved\. Run the sid_"):
        read_codebook(path)
