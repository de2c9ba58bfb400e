import logging

from hsrl_pipeline.errors import SaidOnceFilter, UserError


def test_message_says_what_where_and_remedy() -> None:
    error = UserError("the zip is corrupt", where="data/01_raw/ml-1m.zip", remedy="Download again.")
    assert str(error) == "the zip is corrupt (data/01_raw/ml-1m.zip). Download again."


def test_place_and_remedy_may_be_missing() -> None:
    assert str(UserError("nothing to do")) == "nothing to do."


def test_what_kedro_logs_of_a_user_error_is_not_said_twice() -> None:
    def shown(error: Exception, name: str, message: str) -> bool:
        record = logging.LogRecord(name, logging.ERROR, "", 0, message, None, None)
        try:
            raise error
        except Exception:
            return SaidOnceFilter().filter(record)

    failed = ("kedro.pipeline.node", "Node %s failed with error: \n%s")
    hint = ("kedro.runner.sequential_runner", "No nodes ran. Repeat the previous command")
    resume = ("kedro.runner.sequential_runner", "There are 3 nodes that have not run.")
    assert not shown(UserError("no zip"), *failed)
    assert not shown(UserError("no zip"), *hint)
    assert shown(UserError("no zip"), *resume)
    assert shown(ValueError("a bug"), *failed)
