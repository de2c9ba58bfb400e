"""The codebook as a dataset of the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

from hsrl_pipeline.errors import UserError

if TYPE_CHECKING:
    from hsrl_pipeline.semantic_ids.codebook import Codebook


class CodebookDataset(AbstractDataset["Codebook", "Codebook"]):
    """Symmetric, atomic dataset for a ``Codebook``, see ``semantic_ids.codebook_file``.

    Args:
        filepath: The ``.safetensors`` file.
        metadata: Read by Kedro-Viz and by the tracking hook.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Codebook:
        """Load the codebook.

        Raises:
            DatasetError: The file is missing, unreadable, or its content does not have the
                version it claims.
        """
        from hsrl_pipeline.semantic_ids.codebook_file import read_codebook

        try:
            return read_codebook(self._filepath)
        except UserError as error:
            raise DatasetError(str(error)) from error

    def provenance(self) -> dict[str, Any]:
        """Return the metadata and the version it claims, without reading any array.

        Raises:
            DatasetError: The file is missing or unreadable.
        """
        from hsrl_pipeline.semantic_ids.codebook_file import read_codebook_provenance

        try:
            return read_codebook_provenance(self._filepath)
        except UserError as error:
            raise DatasetError(str(error)) from error

    def save(self, data: Codebook) -> None:
        """Save the codebook in one atomic write."""
        from hsrl_pipeline.semantic_ids.codebook_file import write_codebook

        write_codebook(self._filepath, data)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
