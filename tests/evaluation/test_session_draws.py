import pytest
import torch

from hsrl_pipeline.evaluation.session_draws import SessionDraws


def draws(seed=0, n_rows=50):
    return SessionDraws(seed, n_rows, horizon=4, slate_size=3)


@pytest.mark.parametrize(("start", "stop"), [(0, 10), (60, 70), (64, 128), (130, 131), (5, 200)])
def test_episodes_have_the_same_draws_however_they_are_asked_for(start, stop):
    rows, uniforms = draws().episodes(0, 300)
    some_rows, some_uniforms = draws().episodes(start, stop)
    assert torch.equal(some_rows, rows[start:stop])
    assert torch.equal(some_uniforms, uniforms[start:stop])
    assert some_uniforms.shape == (stop - start, 4, 3)


@pytest.mark.parametrize("stop", [1, 64, 65, 300])
def test_starts_are_those_of_the_episodes(stop):
    assert torch.equal(draws().starts(stop), draws().episodes(0, stop)[0])


def test_rows_cover_the_pool_and_uniforms_the_unit_interval():
    rows, uniforms = draws().episodes(0, 2000)
    assert set(rows.tolist()) == set(range(50))
    assert 0.0 <= float(uniforms.min()) < 0.001
    assert 0.999 < float(uniforms.max()) < 1.0
    assert float(uniforms.mean()) == pytest.approx(0.5, abs=0.01)


def test_other_seeds_and_blocks_have_other_draws():
    assert not torch.equal(draws(0).episodes(0, 64)[1], draws(1).episodes(0, 64)[1])
    assert not torch.equal(draws().episodes(0, 64)[1], draws().episodes(64, 128)[1])
