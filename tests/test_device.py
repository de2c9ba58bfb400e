import pytest
import torch

from hsrl_pipeline.device import one_thread, resolve_device
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


def test_one_thread_is_a_matter_of_the_function_that_asks_for_it(two_threads):
    @one_thread()
    def count():
        return torch.get_num_threads()

    assert [count(), torch.get_num_threads(), count()] == [1, 2, 1]


def test_one_thread_ends_with_a_failure_too(two_threads):
    with pytest.raises(KeyError), one_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == 2
