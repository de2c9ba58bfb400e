"""Model state on disk: a JSON-able config and named tensors in one safetensors file.

Simulators, policies, item vectors and the synthetic truth are kept in this form. What training
resumes from has another one, see ``training.checkpoint_store``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from hsrl_pipeline.atomic import staged_path
from hsrl_pipeline.errors import UserError


class Checkpoint(TypedDict):
    """What is needed to rebuild a model.

    Attributes:
        config: JSON-able description: sizes, settings, provenance.
        state: Named arrays or tensors; loaded as torch tensors on the CPU.
    """

    config: dict[str, Any]
    state: dict[str, Any]


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Return config and state of a file; no code in it is executed.

    Args:
        path: The ``.safetensors`` file.

    Returns:
        Its config, and its tensors on the CPU.

    Raises:
        UserError: The file is missing or is no safetensors file with a config.
    """
    from safetensors import safe_open

    with _reading(path), safe_open(path, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
        return {"config": config, "state": {name: file.get_tensor(name) for name in file.keys()}}


def read_checkpoint_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the config of a file alone, without reading any tensor.

    Args:
        path: The ``.safetensors`` file.

    Raises:
        UserError: The file is missing or is no safetensors file with a config.
    """
    from safetensors import safe_open

    with _reading(path), safe_open(path, framework="numpy") as file:
        config: dict[str, Any] = json.loads(file.metadata()["config"])
        return config


def write_checkpoint(path: str | os.PathLike[str], checkpoint: Mapping[str, Any]) -> None:
    """Write config and state in one atomic step; equal content gives equal bytes.

    Args:
        path: The file; its folder is made when needed.
        checkpoint: ``config``, JSON-able, and ``state``, named numpy arrays or tensors.
    """
    import torch
    from safetensors.torch import save_file

    tensors = {
        name: (torch.from_numpy(value) if isinstance(value, np.ndarray) else value)
        .detach()
        .cpu()
        .contiguous()
        .clone()  # shared storage can't be stored twice
        for name, value in checkpoint["state"].items()
    }
    header = {"config": json.dumps(checkpoint["config"], sort_keys=True)}
    with staged_path(path) as staging:
        save_file(tensors, staging, metadata=header)


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what can go wrong with a file into one message."""
    from safetensors import SafetensorError

    if not Path(path).exists():
        raise UserError(f"{path} does not exist", remedy="Run the pipeline that makes it first.")
    try:
        yield
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not a readable checkpoint: {error}",
            remedy="Run the pipeline that makes it again.",
        ) from error
