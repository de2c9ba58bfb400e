import pytest
import torch

from hsrl_pipeline.device import resolve_device
from hsrl_pipeline.errors import UserError

CPU = torch.device("cpu")


def test_device_names(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto", "training.device") == CPU
    assert resolve_device("cpu", "training.device") == CPU
    with pytest.raises(UserError, match="CUDA is not available") as refused:
        resolve_device("cuda", "evaluation.device")
    assert refused.value.where == "evaluation.device"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto", "training.device").type == "cuda"
    assert resolve_device("cpu", "training.device") == CPU
