from hsrl_pipeline.errors import UserError


def test_message_says_what_where_and_remedy() -> None:
    error = UserError("the zip is corrupt", where="data/01_raw/ml-1m.zip", remedy="Download again.")
    assert str(error) == "the zip is corrupt (data/01_raw/ml-1m.zip). Download again."


def test_place_and_remedy_may_be_missing() -> None:
    assert str(UserError("nothing to do")) == "nothing to do."
