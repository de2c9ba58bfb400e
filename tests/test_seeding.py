import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.seeding import derive_seed, fresh_seed, numpy_generator, torch_generator


@settings(max_examples=30)
@given(st.integers(0, 2**31 - 1), st.text(max_size=30))
def test_derived_seeds_are_stable_and_in_range(seed: int, stream: str) -> None:
    derived = derive_seed(seed, stream)
    assert derived == derive_seed(seed, stream)
    assert 0 <= derived < 2**63


def test_streams_and_seeds_differ() -> None:
    seeds = {derive_seed(seed, stream) for seed in range(20) for stream in ("a", "b", "c")}
    assert len(seeds) == 60


def test_known_value_does_not_drift() -> None:
    # a change here silently changes every published number
    assert derive_seed(0, "simulator.train") == derive_seed(0, "simulator.train")
    sequence = np.random.SeedSequence([7, 907060870])  # 907060870 is the CRC-32 of "hello"
    assert derive_seed(7, "hello") == int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def test_generators_draw_the_same_numbers_again() -> None:
    assert numpy_generator(3, "x").random() == numpy_generator(3, "x").random()
    draws = [torch.rand(4, generator=torch_generator(3, "x")) for _ in range(2)]
    assert torch.equal(*draws)


def test_fresh_seeds_are_in_range_and_differ() -> None:
    seeds = {fresh_seed() for _ in range(20)}
    assert len(seeds) == 20
    assert all(0 <= seed < 2**63 for seed in seeds)
