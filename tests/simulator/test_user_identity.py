from hsrl_pipeline.simulator.user_identity import append_user_index, users_as_read

from .response_world import make_users


def test_the_index_becomes_the_last_category():
    users = append_user_index(make_users(5))
    assert users.categories[:, -1].tolist() == [0, 1, 2, 3, 4, 5]
    assert users.category_sizes == (3, 6)
    assert (users.categories[:, :-1] == make_users(5).categories).all()


def test_users_are_read_as_the_simulator_was_fitted():
    users = make_users(5)
    assert users_as_read(users, {"config": {"user_id_embedding": False}}) is users
    assert users_as_read(users, {"config": {"user_id_embedding": True}}).category_sizes == (3, 6)
