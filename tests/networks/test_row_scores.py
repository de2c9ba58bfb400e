import pytest
import torch

from hsrl_pipeline.networks import row_scores as module
from hsrl_pipeline.networks.row_scores import row_scores


@pytest.fixture(params=[1, 40, 2**16], ids=["row by row", "ragged pieces", "one piece"])
def _piece_size(request, monkeypatch):
    monkeypatch.setattr(module, "PIECE_SIZE", request.param)


def make(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(3, 5, 4, generator=generator, dtype=dtype)
    table = torch.randn(9, 4, generator=generator, dtype=dtype)
    return query, table, torch.randint(9, (3, 5, 2), generator=generator)


def test_scores_by_hand():
    query = torch.tensor([[[1.0, 2.0]]])
    table = torch.tensor([[0.0, 0.0], [3.0, 1.0], [-1.0, 4.0]])
    assert row_scores(query, table, torch.tensor([[[2, 1, 0]]])).tolist() == [[[7.0, 5.0, 0.0]]]


@pytest.mark.usefixtures("_piece_size")
def test_scores_and_gradients_are_those_of_gathered_rows():
    query, table, rows = make()
    weights = torch.arange(30.0).view(3, 5, 2)
    gradients = []
    for score in (row_scores, lambda q, t, r: (t[r] @ q.unsqueeze(-1))[..., 0]):
        leaf = query.clone().requires_grad_()
        scores = score(leaf, table, rows)
        torch.testing.assert_close(scores, (query.unsqueeze(-2) * table[rows]).sum(-1))
        (scores * weights).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.usefixtures("_piece_size")
def test_gradient_passes_a_numerical_check():
    query, table, rows = make(torch.float64)
    assert torch.autograd.gradcheck(lambda q: row_scores(q, table, rows), query.requires_grad_())


def test_mixed_precision_keeps_the_gradient_in_the_type_of_the_query():
    query, table, rows = make()
    query.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = row_scores(query, table, rows)
    scores.float().sum().backward()
    assert query.grad.dtype == torch.float32
    torch.testing.assert_close(query.grad, table[rows].sum(-2), rtol=0.02, atol=0.02)


@pytest.mark.usefixtures("_piece_size")
def test_slots_that_are_read_do_not_depend_on_how_many_are():
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(50, 3, 16, generator=generator)
    table = torch.randn(9, 16, generator=generator)
    rows = torch.randint(9, (50, 3, 21), generator=generator)
    n_used = torch.randint(22, (50, 3), generator=generator)
    read = torch.arange(21) < n_used.unsqueeze(-1)
    scores, everything = row_scores(query, table, rows, n_used), row_scores(query, table, rows)
    torch.testing.assert_close(scores[read], everything[read])
    assert scores.isfinite().all()
    alone = row_scores(query, table, rows, torch.tensor(3))
    torch.testing.assert_close(alone[..., :3], everything[..., :3])
