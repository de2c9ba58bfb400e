from hsrl_pipeline.config.dotted_names import flat, nested

TREE = {"a": {"b": 1, "c": {"d": [1, 2]}}, "empty": {}}


def test_nested_parameters_become_dotted() -> None:
    assert flat(TREE) == {"a.b": 1, "a.c.d": [1, 2], "empty": {}}


def test_dotted_names_become_nested() -> None:
    assert nested(flat(TREE)) == TREE
