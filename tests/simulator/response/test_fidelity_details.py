import numpy as np

from hsrl_pipeline.simulator.response.fidelity_details import popularity_groups

from .response_world import N_ITEMS, make_log

LOG = make_log()


def test_popularity_groups_are_tenths_by_exposure():
    groups = popularity_groups(LOG.train, N_ITEMS)
    exposures = np.bincount(LOG.train.slates.ravel(), minlength=N_ITEMS + 1)
    assert groups[0] == 0
    assert np.bincount(groups[1:], minlength=11)[1:].tolist() == [N_ITEMS // 10] * 10
    assert exposures[1:][groups[1:] == 10].min() >= exposures[1:][groups[1:] == 1].max()
