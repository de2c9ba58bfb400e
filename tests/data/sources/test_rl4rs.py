import numpy as np
import pytest

from hsrl_pipeline.errors import UserError

LOG = "rl4rs/rl4rs_dataset_a_sl.csv"


def test_raw_lines_become_slates_of_nine(ingest, rl4rs):
    tables = ingest("rl4rs", rl4rs)
    assert tables.info.slate_size == 9
    assert len(tables.slates) == 5
    assert len(tables.interactions) == 45
    ids = dict(zip(tables.items.item_index, tables.items.item_id, strict=True))
    users = dict(zip(tables.users.user_index, tables.users.user_id, strict=True))
    session = {index: user for index, user in users.items() if user == "1"}
    slate = tables.slates[tables.slates.user_index.isin(session)].iloc[0]
    shown = [ids[slate[f"item_{k}"]] for k in range(9)]
    assert shown == ["1", "2", "3", "40", "41", "42", "148", "149", "150"]
    assert [slate[f"label_{k}"] for k in range(9)] == [1, 0, 1, 0, 1, 0, 1, 0, 1]


def test_the_split_is_by_the_session_modulo_ten(ingest, rl4rs):
    tables = ingest("rl4rs", rl4rs)
    users = tables.users.set_index("user_index").user_id
    split = dict(zip(tables.slates.user_index.map(users), tables.slates.split, strict=True))
    assert split == {"1": "train", "2": "train", "3": "train", "7": "test"}


def test_the_click_history_stands_before_the_session(ingest, rl4rs):
    tables = ingest("rl4rs", rl4rs)
    ids = tables.items.set_index("item_index").item_id
    user = tables.users.set_index("user_id").loc["3", "user_index"]
    (slate,) = tables.slates[tables.slates.user_index == user].itertuples()
    history = tables.timeline.item_index[slate.history_start : slate.history_end]
    # 999 is no item and 0 stands for none
    assert [ids[item] for item in history] == ["10", "11", "10", "60"]


def test_a_second_page_sees_what_the_first_sold(ingest, rl4rs):
    tables = ingest("rl4rs", rl4rs)
    ids = tables.items.set_index("item_index").item_id
    user = tables.users.set_index("user_id").loc["2", "user_index"]
    pages = tables.slates[tables.slates.user_index == user].sort_values("timestamp")
    first, second = pages.itertuples()
    assert first.history_start == first.history_end
    bought = tables.timeline.item_index[second.history_start : second.history_end]
    assert [ids[item] for item in bought] == ["4", "6", "51", "200", "202"]


def test_items_keep_vector_price_shelf_and_special_flag(ingest, rl4rs):
    tables = ingest("rl4rs", rl4rs)
    assert tables.info.vector_size == 40
    assert tables.info.has_shelves
    items = tables.items.set_index("item_id")
    assert items.loc["40", ["price", "shelf", "special"]].tolist() == [47.0, 2, 1]
    np.testing.assert_array_equal(np.unique(items["shelf"]), [1, 2, 3])


def test_the_portrait_is_ten_categories_and_32_numbers(ingest, rl4rs):
    tables = ingest("rl4rs", rl4rs)
    assert [field.name for field in tables.info.category_fields] == [
        f"portrait_{k}" for k in range(10)
    ]
    assert tables.info.dense_fields == tuple(f"portrait_{k}" for k in range(10, 42))
    # sessions 1, 2 and 3 train, 7 does not: its hashes are unseen
    assert sorted(tables.users.category_portrait_0) == [0, 1, 2, 3]
    assert tables.category_values["portrait_0"] == ["60001", "60002", "60003"]


def test_a_log_without_header_gives_the_same_tables(ingest, rl4rs):
    with_header = ingest("rl4rs", rl4rs)
    rl4rs[LOG] = rl4rs[LOG].split(b"\n", 1)[1]
    without = ingest("rl4rs", rl4rs)
    assert without.info.version == with_header.info.version


def test_carriage_returns_change_nothing(ingest, rl4rs):
    plain = ingest("rl4rs", rl4rs)
    rl4rs[LOG] = rl4rs[LOG].replace(b"\n", b"\r\n")
    assert ingest("rl4rs", rl4rs).info.version == plain.info.version


def test_a_repeated_line_counts_once(ingest, rl4rs, write_line):
    rl4rs[LOG] += (write_line(time=1000, session=1) + "\n").encode()
    tables = ingest("rl4rs", rl4rs, on_bad_rows="drop")
    (defect,) = tables.accounts.bad
    assert (defect.reason, defect.count, defect.line) == ("duplicate row", 9, 7)
    assert len(tables.slates) == 5


def test_a_session_without_portrait_has_missing_features(ingest, rl4rs, write_line):
    rl4rs[LOG] += (write_line(time=1000, session=4, portrait="") + "\n").encode()
    tables = ingest("rl4rs", rl4rs)
    user = tables.users.set_index("user_id").loc["4"]
    assert (user.filter(like="category_") == 0).all()
    assert (user.filter(like="dense_") == 0).all()
    assert tables.accounts.notes["lines without a portrait"] == 1


def test_bigdatacup_impressions_are_recognised(ingest, bigdatacup):
    tables = ingest("rl4rs", bigdatacup)
    assert len(tables.slates) == 4
    assert tables.info.vector_size == 5
    assert tables.info.has_shelves
    assert "special" not in tables.items.columns
    assert "301" in set(tables.items.item_id)
    assert (tables.slates.history_start == tables.slates.history_end).all()
    assert [field.name for field in tables.info.category_fields][:2] == ["flag_74820", "flag_64054"]
    users = tables.users.set_index("user_index").user_id
    split = dict(zip(tables.slates.user_index.map(users), tables.slates.split, strict=True))
    assert split == {"1": "train", "2": "train", "7": "test", "8": "test"}


def test_the_form_is_chosen_by_files_or_parameter(ingest, rl4rs, bigdatacup):
    both = rl4rs | bigdatacup
    assert ingest("rl4rs", both).info.vector_size == 40  # an official raw log comes first
    assert ingest("rl4rs", both, rl4rs={"form": "bigdatacup"}).info.vector_size == 5


def test_without_an_official_raw_log_the_impressions_are_read(ingest, rl4rs, bigdatacup):
    both = rl4rs | bigdatacup
    both["rl4rs/some_rows.csv"] = both.pop(LOG)
    assert ingest("rl4rs", both).info.vector_size == 5
    named = ingest("rl4rs", both, rl4rs={"log": "some_rows.csv", "item_info": "item_info.csv"})
    assert named.info.vector_size == 40


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "bigdatacup"}, "no log of the form bigdatacup"),
        ({"log": "nothing.csv"}, "Logs there: rl4rs_dataset_a_sl.csv"),
        ({"log": "rl4rs_dataset_a_sl.csv", "form": "bigdatacup"}, "is of the form raw"),
        ({"item_info": "nothing.csv"}, "nothing.csv does not exist"),
    ],
)
def test_parameters_that_do_not_fit_the_files(ingest, rl4rs, settings, message):
    with pytest.raises(UserError, match=message):
        ingest("rl4rs", rl4rs, rl4rs=settings)


def test_missing_item_file_and_folder(ingest, rl4rs, bigdatacup):
    with pytest.raises(UserError, match="no folder"):
        ingest("rl4rs", {})
    del rl4rs["rl4rs/item_info.csv"]
    with pytest.raises(UserError, match="no item file"):
        ingest("rl4rs", rl4rs)


def test_impressions_without_labels_are_refused(land, bigdatacup):
    name = "rl4rs/bigdatacup2021_10k_impressions.csv"
    bigdatacup[name] = bigdatacup[name].replace(b",labels\n", b",bought\n")
    with pytest.raises(UserError, match="lacks the columns exposed_items and labels"):
        land("rl4rs", bigdatacup)
