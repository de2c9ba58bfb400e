import numpy as np
import pytest

from hsrl_pipeline.errors import UserError

LOG = "KuaiRand-Pure/data/log_standard_4_22_to_5_08_pure.csv"


def test_an_exposure_is_a_slate_of_one(ingest, kuairand):
    tables = ingest("kuairand_pure", kuairand)
    assert tables.info.slate_size == 1
    assert tables.info.time_unit == "ms"
    assert len(tables.slates) == len(tables.interactions) == 27
    assert (tables.interactions.position == 0).all()
    assert set(tables.items.item_id) == {"0", "1", "2", "3", "4"}
    assert tables.interactions.label.sum() == 13
    assert tables.interactions.value.max() == 8000


def test_the_split_is_by_day_in_beijing(ingest, kuairand):
    tables = ingest("kuairand_pure", kuairand, kuairand={"first_test_day": "2022-05-05"})
    # the three users begin at 0, 1 and 2 o'clock: the day changes at 16:00 UTC
    boundary = 1_651_680_000_000
    test = tables.slates.split == "test"
    np.testing.assert_array_equal(test, tables.slates.timestamp >= boundary)
    assert test.sum() == 18


def test_a_pause_beyond_the_gap_begins_a_session(ingest, kuairand):
    tables = ingest("kuairand_pure", kuairand)
    # three exposures 20 minutes apart on each of three days
    assert tables.slates.groupby("user_index").session_index.nunique().tolist() == [3, 3, 3]
    short = ingest("kuairand_pure", kuairand, kuairand={"session_gap_minutes": 19.9})
    assert short.slates.groupby("user_index").session_index.nunique().tolist() == [9, 9, 9]


def test_rows_that_repeat_in_every_column_are_dropped_and_counted(ingest, kuairand):
    lines = kuairand[LOG].decode().splitlines()
    other_hour = lines[1].replace(",20220504,000,", ",20220504,100,")
    assert other_hour != lines[1]
    kuairand[LOG] = ("\n".join([*lines, lines[1], lines[1], other_hour]) + "\n").encode()
    tables = ingest("kuairand_pure", kuairand, on_bad_rows="drop")
    (defect,) = tables.accounts.bad
    assert (defect.reason, defect.count, defect.line) == ("duplicate row", 2, 29)
    assert len(tables.interactions) == 28  # an exposure logged under two hours is no exact repeat
    with pytest.raises(UserError, match=r"duplicate row .*line 29"):
        ingest("kuairand_pure", kuairand)


def test_users_and_videos_are_described(ingest, kuairand):
    tables = ingest("kuairand_pure", kuairand)
    names = {field.name for field in tables.info.category_fields}
    assert {"user_active_degree", "is_video_author", "onehot_feat0", "onehot_feat17"} <= names
    assert (tables.users.category_onehot_feat17 == 0).all()  # empty in the file
    assert len(tables.info.dense_fields) == 4
    items = tables.items.set_index("item_id")
    assert items.loc["1", "content_tag_20"] == items.loc["1", "content_tag_43"] == 1
    assert items.loc["1", "content_portrait"] == 0
    assert items.loc["0", "content_portrait"] == 1
    assert items.loc["0", "content_log_seconds"] == pytest.approx(1.0, abs=1e-4)
    assert items.loc["0", "released_at"] == 1_649_520_000  # 2022-04-10 in Beijing
    assert tables.accounts.notes == {"videos without a duration": 1, "videos without a tag": 1}


def test_logs_are_read_in_order_from_a_flat_folder_too(ingest, kuairand):
    flat = {name.replace("data/", ""): content for name, content in kuairand.items()}
    log = flat.pop("KuaiRand-Pure/log_standard_4_22_to_5_08_pure.csv")
    lines = log.decode().splitlines()
    first, second = lines[1:14], lines[14:]
    for name, rows in (("4_08_to_4_21", first), ("4_22_to_5_08", second)):
        flat[f"KuaiRand-Pure/log_standard_{name}_pure.csv"] = (
            "\n".join([lines[0], *rows]) + "\n"
        ).encode()
    tables = ingest("kuairand_pure", flat)
    assert len(tables.interactions) == 27
    with pytest.raises(UserError, match="The test split would be empty"):
        ingest(
            "kuairand_pure",
            flat,
            kuairand={
                "logs": ["log_standard_4_22_to_5_08_pure.csv"],
                "first_test_day": "2023-01-01",
            },
        )


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        (LOG, "no log_standard_"),
        ("KuaiRand-Pure/data/user_features_pure.csv", "user_features_pure.csv does not exist"),
    ],
)
def test_missing_files_are_named(ingest, kuairand, removed, message):
    del kuairand[removed]
    with pytest.raises(UserError, match=message):
        ingest("kuairand_pure", kuairand)


def test_a_missing_folder_says_what_to_do(ingest):
    with pytest.raises(UserError, match="make data DATASET=kuairand_pure"):
        ingest("kuairand_pure", {})
