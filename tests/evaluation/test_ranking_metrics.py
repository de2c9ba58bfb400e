"""Recall and NDCG against values computed by hand."""

import numpy as np
import pytest

from hsrl_pipeline.evaluation.ranking_metrics import (
    clicked_items,
    means_by_user,
    recall_and_ndcg,
)


def test_a_clicked_item_counts_once_and_padding_never():
    slates = np.array([[4, 2, 4], [1, 2, 3]])
    labels = np.array([[1, 0, 1], [0, 0, 0]])
    assert clicked_items(slates, labels).tolist() == [[4, 0, 0], [0, 0, 0]]
    assert clicked_items(slates[:1], np.array([[0, 1, 1]])).tolist() == [[0, 2, 4]]


def test_recall_and_ndcg_by_hand():
    # clicked 2, 5 and 9: of the four ranked items the second and the fourth are hits
    recall, ndcg = recall_and_ndcg(np.array([[1, 5, 7, 2]]), np.array([[2, 5, 9, 0]]))
    assert recall[0] == pytest.approx(2 / 3)
    gain = 1 / np.log2(3) + 1 / np.log2(5)
    assert ndcg[0] == pytest.approx(gain / (1 + 1 / np.log2(3) + 1 / 2))


def test_the_best_ranking_has_an_ndcg_of_one_even_where_it_is_shorter_than_the_clicks():
    recall, ndcg = recall_and_ndcg(np.array([[3, 1]]), np.array([[1, 2, 3]]))
    assert (recall[0], ndcg[0]) == (pytest.approx(2 / 3), pytest.approx(1.0))


def test_padding_in_a_ranking_is_no_hit_and_rows_without_a_click_have_no_figure():
    recall, ndcg = recall_and_ndcg(np.array([[0, 0], [1, 2]]), np.array([[1, 0], [0, 0]]))
    assert (recall[0], ndcg[0]) == (0.0, 0.0)
    assert np.isnan([recall[1], ndcg[1]]).all()


def test_every_user_counts_once():
    values = np.array([[1.0], [0.0], [0.5], [0.0]])
    assert means_by_user(values, np.array([7, 3, 7, 7])).tolist() == [[0.0], [0.5]]
