import pytest
import torch

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import JudgedSlates, from_plain, to_plain

from .test_replay_buffer import transitions


def leaves(value):
    """Return all tensors of a batch, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [leaf for part in value if part is not None for leaf in leaves(part)]


@pytest.mark.parametrize("judged", [None, JudgedSlates(torch.ones(2, 4, 3), torch.zeros(2, 4, 3))])
def test_a_batch_comes_back_from_what_a_checkpoint_holds(judged, tmp_path):
    batch = transitions(1, 4, shown=2)._replace(judged=judged)
    torch.save(to_plain(batch), tmp_path / "batch.pt")
    plain = torch.load(tmp_path / "batch.pt", weights_only=True)
    assert ("judged" in plain) == (judged is not None)
    restored = from_plain(plain, torch.device("cpu"))
    assert isinstance(restored.next_observation, Observation)
    pairs = zip(leaves(batch), leaves(restored), strict=True)
    assert all(torch.equal(kept, own) and kept.dtype == own.dtype for kept, own in pairs)
