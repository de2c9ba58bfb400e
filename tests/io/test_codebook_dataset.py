from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError

from hsrl_pipeline.config.sid import SidConfig
from hsrl_pipeline.errors import user_error_in
from hsrl_pipeline.io.codebook_dataset import CodebookDataset
from hsrl_pipeline.semantic_ids.codebook_file import write_codebook
from hsrl_pipeline.semantic_ids.tokenization import tokenize


def test_the_catalog_saves_the_file_that_the_library_writes(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    codebook = tokenize(rows, SidConfig(n_levels=2, vocab_size=[4, 8], n_restarts=1), seed=0)
    dataset = CodebookDataset(filepath=str(tmp_path / "deep" / "codebook.safetensors"))
    assert not dataset.exists()
    dataset.save(codebook)
    assert dataset.exists()
    write_codebook(tmp_path / "plain", codebook)
    saved = tmp_path / "deep" / "codebook.safetensors"
    assert saved.read_bytes() == (tmp_path / "plain").read_bytes()
    assert dataset.load().version == codebook.version
    assert dataset.provenance() == {**codebook.metadata, "version": codebook.version}


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "does not exist"), (b"no", "is not a readable codebook")]
)
def test_missing_or_corrupt_files_are_named(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "codebook.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"codebook.safetensors {reason}") as caught:
        CodebookDataset(filepath=str(path)).load()
    assert str(user_error_in(caught.value)) == str(caught.value)  # one message, no traceback
    with pytest.raises(DatasetError, match=f"codebook.safetensors {reason}"):
        CodebookDataset(filepath=str(path)).provenance()
