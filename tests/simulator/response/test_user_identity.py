from hsrl_pipeline.data.slate_log import DatasetInfo
from hsrl_pipeline.simulator.response.user_identity import append_user_index, users_as_read

from ...pipelines.offline_eval_inputs import INFO
from .response_world import make_users


def test_the_index_becomes_the_last_category():
    users = append_user_index(make_users(5))
    assert users.categories[:, -1].tolist() == [0, 1, 2, 3, 4, 5]
    assert users.category_sizes == (3, 6)
    assert (users.categories[:, :-1] == make_users(5).categories).all()


def test_users_are_read_as_the_simulator_was_fitted():
    info, users = DatasetInfo.from_dict(INFO), make_users(5)
    assert users_as_read(info, users, {"config": {"user_id_embedding": False}}) == (info, users)
    with_field, with_index = users_as_read(info, users, {"config": {"user_id_embedding": True}})
    assert with_index.category_sizes == (3, 6)
    assert [field.cardinality for field in with_field.category_fields] == [3, 6]
    assert with_field.category_fields[-1].name == "user_index"
