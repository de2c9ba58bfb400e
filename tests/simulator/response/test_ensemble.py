import math

import pytest
import torch

from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse

from .test_constant import observation

SLATES = torch.tensor([[1, 2]])


def make_ensemble():
    return EnsembleResponse([ConstantResponse(p, n_items=3, history_size=4) for p in (0.2, 0.6)])


def test_probabilities_are_averaged_not_log_odds():
    ensemble = make_ensemble().freeze()
    assert ensemble.probabilities(observation(1), SLATES).tolist() == [pytest.approx([0.4, 0.4])]
    scores = ensemble.scores_all(observation(1))
    assert scores[0, 1:].tolist() == pytest.approx([math.log(0.4 / 0.6)] * 3)
    assert torch.isneginf(scores[0, 0])


def test_sure_members_overflow_nothing():
    sure = ConstantResponse(0.5, n_items=3, history_size=4)
    sure.log_odds[1:] = 200.0
    ensemble = EnsembleResponse([sure, ConstantResponse(0.5, n_items=3, history_size=4)])
    assert ensemble.probabilities(observation(1), SLATES).tolist() == [pytest.approx([0.75, 0.75])]


class CountedResponse(ConstantResponse):
    asked = 0

    def logits(self, *arguments):
        self.asked += 1
        return super().logits(*arguments)


def test_answers_are_probabilities_and_disagreement_of_one_pass():
    members = [CountedResponse(p, n_items=3, history_size=4) for p in (0.1, 0.2, 0.9)]
    members[1].log_odds[2] = math.log(0.9 / 0.1)
    ensemble = EnsembleResponse(members).freeze()
    answers = ensemble.answers(observation(1), SLATES)
    assert [member.asked for member in members] == [1, 1, 1]
    assert answers.probabilities.tolist() == [pytest.approx([0.4, 1.9 / 3])]
    assert torch.equal(answers.probabilities, ensemble.probabilities(observation(1), SLATES))
    # variances of (0.1, 0.2, 0.9) and of (0.1, 0.9, 0.9)
    deviations = [math.sqrt(0.38 / 3), math.sqrt(2 * 0.8**2 / 9)]
    assert answers.disagreement.tolist() == [pytest.approx(deviations)]


def test_disagreement_is_the_spread_of_probabilities():
    assert make_ensemble().disagreement(observation(1), SLATES).tolist() == [
        pytest.approx([0.2, 0.2])
    ]


def test_members_are_frozen_with_the_ensemble():
    ensemble = make_ensemble().train().freeze()
    assert not any(module.training for module in ensemble.modules())


def test_one_member_is_no_ensemble():
    with pytest.raises(ValueError, match="at least 2 members, not 1"):
        EnsembleResponse([ConstantResponse(0.2, n_items=3, history_size=4)])


def test_members_of_another_catalogue_are_refused():
    with pytest.raises(ValueError, match="differ in n_items"):
        EnsembleResponse([ConstantResponse(0.2, n_items=n, history_size=4) for n in (3, 4)])
