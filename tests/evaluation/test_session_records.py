"""What sessions write step by step, and what the batches of a policy come to."""

from __future__ import annotations

import numpy as np
import torch

from hsrl_pipeline.evaluation.session_records import BatchRecords, SessionRecorder, join_batches

N_ITEMS = 5


def two_sessions() -> BatchRecords:
    """Return sessions of three and of one step, with slates of two."""
    recorder = SessionRecorder(2, 3, 2, "cpu")
    steps = [
        ([0, 1], [[1, 2], [3, 4]], [[1, 0], [0, 0]], [0.5, -0.2], [0.1, 0.3]),
        ([0], [[2, 5]], [[1, 1]], [1.0], [0.2]),
        ([0], [[1, 5]], [[0, 0]], [-0.2], [0.4]),
    ]
    for step, (playing, slates, clicks, reward, similarity) in enumerate(steps):
        recorder.write(
            step,
            torch.tensor(playing),
            torch.tensor(slates),
            torch.tensor(clicks, dtype=torch.float32),
            reward=torch.tensor(reward, dtype=torch.float64),
            similarity=torch.tensor(similarity, dtype=torch.float64),
        )
    return recorder.records(torch.tensor([7, 8]), N_ITEMS)


def test_steps_are_counted_by_session_and_by_item() -> None:
    records = two_sessions()
    assert records.users.tolist() == [7, 8]
    nan = np.nan
    np.testing.assert_array_equal(records.rewards, [[0.5, 1.0, -0.2], [-0.2, nan, nan]])
    assert records.clicks.tolist() == [3, 0]
    assert records.exposures.tolist() == [0, 2, 2, 1, 1, 2]
    assert records.item_clicks.tolist() == [0, 1, 1, 0, 0, 1]
    assert records.repeated.tolist() == [3, 0]  # 2, then 1 and 5
    torch.testing.assert_close(records.similarity, torch.tensor([0.7, 0.3], dtype=torch.float64))


def test_batches_are_put_end_to_end_and_items_are_counted_over_all() -> None:
    joined = join_batches([two_sessions(), two_sessions()], slate_size=2)
    assert joined.slate_size == 2
    assert joined.users.tolist() == [7, 8, 7, 8]
    assert joined.depth.tolist() == [3, 1, 3, 1]
    np.testing.assert_allclose(joined.total_reward, [1.3, -0.2, 1.3, -0.2])
    assert joined.exposures.tolist() == [0, 4, 4, 2, 2, 4]
    assert joined.item_clicks.tolist() == [0, 2, 2, 0, 0, 2]
