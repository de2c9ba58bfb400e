"""Small logs in the official format of each source, and ingestion in one call."""

from __future__ import annotations

import copy
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.accounts import RowAccounts
from hsrl_pipeline.data.dataset_info import DatasetInfo
from hsrl_pipeline.data.events.store import EventManifest
from hsrl_pipeline.data.tables.ingest import build_tables, land_log

Files = dict[str, bytes]

RAW_HEADER = (
    "timestamp@session_id@sequence_id@exposed_items@user_feedback@user_seqfeature@user_protrait"
    "@item_feature@behavior_policy_id"
)
KUAIRAND_HEADER = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,"
    "is_hate,long_view,play_time_ms,duration_ms,profile_stay_time,comment_stay_time,"
    "is_profile_enter,is_rand,tab"
)
GENRE_FLAGS = 19


@dataclass(frozen=True)
class Ingested:
    """What a test looks at after ingestion; ``accounts`` are of all files, events or not."""

    interactions: pd.DataFrame
    slates: pd.DataFrame
    timeline: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    info: DatasetInfo
    accounts: RowAccounts
    event_accounts: RowAccounts
    category_values: Mapping[str, list[str]]


@pytest.fixture(scope="session")
def ingested() -> dict[str, tuple[Path, Ingested]]:
    """What ingestions into empty folders have made: the work folder and the tables."""
    return {}


@pytest.fixture
def ingest(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    ingested: dict[str, tuple[Path, Ingested]],
) -> Callable[..., Ingested]:
    """Return a function that ingests files of a source and returns its tables.

    The first ingestion of a test may be one that an earlier test has made: of the same files, with
    the same settings, with nothing replaced by monkeypatch.
    """

    def run(source: str, files: Files, **parameters: Any) -> Ingested:
        work = tmp_path / "work"
        shared = not (work.exists() or (tmp_path / "raw").exists())
        shared = shared and "monkeypatch" not in request.fixturenames
        raw = place(tmp_path / "raw", files)
        key = repr((source, sorted(files.items()), parameters))
        if shared and key in ingested:
            kept, tables = ingested[key]
            shutil.copytree(kept, work)
            return copy.deepcopy(tables)
        config = IngestionConfig(source=source, threads=1, **parameters)
        tables = tables_of(raw, work, config)
        if shared:
            kept = shutil.copytree(work, tmp_path_factory.mktemp("ingested") / "work")
            ingested[key] = kept, copy.deepcopy(tables)
        return tables

    return run


def tables_of(raw: Path, work: Path, config: IngestionConfig) -> Ingested:
    """Ingest a folder and read what was made."""
    landed = land_log(raw, work, config, seed=0)
    tables = build_tables(work, landed, config, config.source)
    return Ingested(
        interactions=pd.read_parquet(tables.interactions),
        slates=pd.read_parquet(tables.slates),
        timeline=pd.read_parquet(tables.timeline),
        items=tables.items,
        users=tables.users,
        info=tables.info,
        accounts=all_accounts(landed.manifest),
        event_accounts=landed.manifest.merged_accounts(),
        category_values=tables.category_values,
    )


@pytest.fixture
def land(tmp_path: Path) -> Callable[..., RowAccounts]:
    """Return a function that lands files of a source and returns the accounts of their rows."""

    def run(source: str, files: Files, **parameters: Any) -> RowAccounts:
        raw = place(tmp_path / "raw", files)
        config = IngestionConfig(source=source, threads=1, **parameters)
        return all_accounts(land_log(raw, tmp_path / "work", config, seed=0).manifest)

    return run


def all_accounts(manifest: EventManifest) -> RowAccounts:
    """Return the accounts of all files together; each account sums up by itself."""
    parts = manifest.merged_accounts(), manifest.feature_accounts()
    for part in parts:
        assert part.rows_in == part.rows_out + part.rows_dropped + part.repeated
    return parts[0].merged(parts[1])


def place(folder: Path, files: Files) -> Path:
    """Write files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def zipped(files: Files, path: Path) -> Path:
    """Write files into a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def text(*lines: str, encoding: str = "utf-8") -> bytes:
    """Return lines as a file's content."""
    return ("\n".join(lines) + "\n").encode(encoding)


@pytest.fixture
def ml100k() -> Files:
    """4 users with 12 ratings each, 12 movies, in the format of MovieLens-100K."""
    ratings = [
        f"{user}\t{item}\t{1 + (user + item) % 5}\t{880_000_000 + 100 * item + user}"
        for user in range(1, 5)
        for item in range(1, 13)
    ]
    movies = []
    for item in range(1, 13):
        flags = ["0"] * GENRE_FLAGS
        flags[1 + item % 3] = "1"
        title = "Les Misérables (1995)" if item == 2 else f"Movie {item} (19{80 + item})"
        movies.append("|".join([str(item), title, "01-Jan-1995", "", "http://x", *flags]))
    users = [
        "1|24|M|technician|85711",
        "2|53|F|other|94043",
        "3|17|M|writer|32067",
        "4|56|F|other|T8H1N",
    ]
    return {
        "ml-100k/u.data": text(*ratings),
        "ml-100k/u.item": text(*movies, encoding="latin-1"),
        "ml-100k/u.user": text(*users),
    }


@pytest.fixture
def ml_latest_small() -> Files:
    """4 users with 12 half-star ratings each, 12 movies, in the format of latest-small."""
    ratings = [
        f"{user},{item},{0.5 * (1 + (user + item) % 10)},{964_980_000 + 100 * item + user}"
        for user in range(1, 5)
        for item in range(1, 13)
    ]
    movies = [f"{item},Movie {item} (19{80 + item}),Comedy|Drama" for item in range(3, 13)]
    quoted = '1,"American President, The (1995)",Comedy|Romance'
    return {
        "ml-latest-small/ratings.csv": text("userId,movieId,rating,timestamp", *ratings),
        "ml-latest-small/movies.csv": text(
            "movieId,title,genres", quoted, "2,Untitled,(no genres listed)", *movies
        ),
    }


@pytest.fixture
def kuairand() -> Files:
    """3 users over three days in the format of KuaiRand-Pure, in its official layout."""
    start = 1_651_593_600_000  # 2022-05-04 00:00 in Beijing
    rows = []
    for user in range(3):
        for shown in range(9):
            day, place_in_day = divmod(shown, 3)
            time = start + day * 86_400_000 + user * 3_600_000 + place_in_day * 20 * 60_000
            click = (user + shown) % 2
            rows.append(
                f"{user},{shown % 5},2022050{4 + day},{user}00,{time},{click},0,0,0,0,0,0,"
                f"{1000 * shown},60000,0,0,0,0,1"
            )
    onehot = [f"onehot_feat{k}" for k in range(18)]
    user_header = [
        "user_id",
        "user_active_degree",
        "is_lowactive_period",
        "is_live_streamer",
        "is_video_author",
        "follow_user_num",
        "follow_user_num_range",
        "fans_user_num",
        "fans_user_num_range",
        "friend_user_num",
        "friend_user_num_range",
        "register_days",
        "register_days_range",
        *onehot,
    ]
    users = [
        f'{user},full_active,0,-124,{user % 2},{10 * user},"(0,10]",150,"[100,1k)",34,"[30,60)",'
        f"{700 + user},366-730," + ",".join(str(k % 3) for k in range(17)) + ","
        for user in range(3)
    ]
    videos = [
        "0,7,NORMAL,2022-04-10,LongImport,0.0,3599000.0,720.0,1280.0,9,9.0,39",
        '1,7,NORMAL,2022-04-10,Kmovie,0.0,9233.0,1280.0,720.0,6,4.0,"20,43"',
        "2,7,AD,2022-04-09,Web,0.0,,720.0,1280.0,9,,",
        "3,7,NORMAL,2022-04-09,Web,0.0,100.0,720.0,1280.0,9,9.0,39",
        "4,7,NORMAL,2022-04-09,Web,0.0,200.0,720.0,1280.0,9,9.0,2",
    ]
    video_header = (
        "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,"
        "server_width,server_height,music_id,music_type,tag"
    )
    return {
        "KuaiRand-Pure/data/log_standard_4_22_to_5_08_pure.csv": text(KUAIRAND_HEADER, *rows),
        "KuaiRand-Pure/data/user_features_pure.csv": text(",".join(user_header), *users),
        "KuaiRand-Pure/data/video_features_basic_pure.csv": text(video_header, *videos),
    }


def raw_line(
    *,
    time: int = 1000,
    session: int | str = 1,
    sequence: int = 1,
    items: str = "1,2,3,40,41,42,148,149,150",
    labels: str = "1,0,1,0,1,0,1,0,1",
    history: str = "0",
    portrait: str | None = None,
) -> str:
    """Return one line of a raw RL4RS log; the item features play no part."""
    if portrait is None:
        hashes = ",".join(
            str(60_000 + (session if isinstance(session, int) else 0) + k) for k in range(10)
        )
        portrait = hashes + "," + ",".join(f"{0.5 * k:.3f}" for k in range(32))
    features = ";".join(["0.1,0.2"] * 9)
    return f"{time}@{session}@{sequence}@{items}@{labels}@{history}@{portrait}@{features}@1"


@pytest.fixture
def write_line() -> Callable[..., str]:
    """Return the writer of raw RL4RS lines."""
    return raw_line


@pytest.fixture
def rl4rs_items() -> bytes:
    """283 items in the format of RL4RS, 39, 108 and 136 to a shelf."""
    generator = np.random.default_rng(0)
    lines = []
    for item in range(1, 284):
        shelf = 1 if item < 40 else 2 if item < 148 else 3
        vector = ",".join(f"{x:.4f}" for x in generator.normal(size=40))
        lines.append(f"{item} {vector} {7.0 + item} {shelf} {item % 3}")
    return text("item_id item_vec price location special_item", *lines)


@pytest.fixture
def rl4rs(rl4rs_items: bytes) -> Files:
    """4 sessions in the raw format of RL4RS; the second has two pages, the third a history."""
    lines = [
        raw_line(time=1000, session=1),
        raw_line(time=1100, session=2, items="4,5,6,50,51,52,200,201,202"),
        raw_line(time=1200, session=2, sequence=2, items="7,8,9,53,54,55,203,204,205"),
        raw_line(time=900, session=3, history="10,11,10,999,0,60"),
        raw_line(time=1300, session=7),
    ]
    return {
        "rl4rs/rl4rs_dataset_a_sl.csv": text(RAW_HEADER, *lines),
        "rl4rs/item_info.csv": rl4rs_items,
    }


@pytest.fixture
def bigdatacup() -> Files:
    """4 impressions of BigDataCup 2021 and their own item file of 381 items."""
    header = (
        "user_id,portrait_flags_74820_64054_83978_6599_36504_7615_54240_37294_21927_11973,"
        "exposed_items_sorted_by_list_then_id,labels"
    )
    rows = [
        f'{user},"1,0,1,1,0,0,0,0,1,{user % 2}","{user},29,33,80,101,136,181,191,{300 + user}",'
        f'"1,1,1,0,0,0,0,1,0"'
        for user in (1, 2, 7, 8)
    ]
    items = []
    for item in range(1, 382):
        shelf = 1 if item < 40 else 2 if item < 148 else 3
        items.append(f"{item} 2,{item % 10},1,0.015764,0.833 {100 + item} {shelf}")
    return {
        "rl4rs/bigdatacup2021_10k_impressions.csv": text(header, *rows),
        "rl4rs/bigdatacup2021_item_info.csv": text("item_id item_vec price location", *items),
    }


@pytest.fixture
def tabular() -> Files:
    """3 users with 6 labelled events each, as the shipped parameters expect them."""
    rows = [
        f"u{user},i{(user + event) % 5},{1_700_000_000 + 1000 * user + 60 * event},{event % 2}"
        for user in range(3)
        for event in range(6)
    ]
    return {"tabular/events.csv": text("user_id,item_id,timestamp,label", *rows)}


def numbers(rows: Any, separator: str = " ") -> bytes:
    """Return rows of numbers as a file's content."""
    return text(*(separator.join(f"{x:g}" for x in row) for row in rows))


@pytest.fixture
def coat() -> Files:
    """6 people and 10 coats in the format of Coat: 4 chosen and 2 drawn ratings of each person.

    Person p chose the coats p to p + 3 and was given p + 4 and p + 5, counted round from 1; the
    rating of coat c is 1 + (p + c) modulo 5.
    """
    ratings = np.array([[1 + (p + c) % 5 for c in range(1, 11)] for p in range(1, 7)])
    ahead = np.array([[(c - p) % 10 for c in range(1, 11)] for p in range(1, 7)])
    return {
        "coat/train.ascii": numbers(np.where(ahead < 4, ratings, 0)),
        "coat/test.ascii": numbers(np.where((ahead == 4) | (ahead == 5), ratings, 0)),
        "coat/propensities.ascii": numbers(
            [[(p + c) / 100 for c in range(1, 11)] for p in range(1, 7)]
        ),
        "coat/user_item_features/user_features.ascii": numbers(
            [[p % 2, 1 - p % 2, p == 1, p == 2] for p in range(1, 7)]
        ),
        "coat/user_item_features/user_features_map.txt": text(
            "gender:men", "gender:women", "age:20-30", "age:over 60"
        ),
        "coat/user_item_features/item_features.ascii": numbers(
            [[c % 2, 1 - c % 2, c == 1, c != 1] for c in range(1, 11)]
        ),
        "coat/user_item_features/item_features_map.txt": text(
            "jackettype:bomber", "jackettype:rain", "onfrontpage:yes", "onfrontpage:no"
        ),
    }


@pytest.fixture
def jester() -> Files:
    """8 people and 6 jokes in the format of Jester; person 8 left joke 6 without a rating."""
    rows = [[6, *((7 * p + 5 * j) % 21 - 10 for j in range(1, 7))] for p in range(1, 9)]
    rows[7] = [5, *rows[7][1:6], 99]
    jokes = "".join(f"{j},Joke {j} about chickens and road {j}\n" for j in range(3, 7))
    return {
        "jester/jester-data-1.csv": numbers(rows, ","),
        "jester/jester-jokes.csv": (
            'joke_id,text\n1,"Knock, knock.\nWho is there?"\n2,"A ""doctor"" walks into a bar '
            f'and orders a drink for everybody in the room"\n{jokes}'
        ).encode(),
    }


@pytest.fixture
def ml1m() -> Files:
    """6 users with 13 to 23 ratings each, out of order and with ties, in the format of 1M."""
    generator = np.random.default_rng(1)
    ratings = []
    for user in range(1, 7):
        for item in generator.permutation(30)[: 11 + 2 * user] + 1:
            time = 956_703_932 + 3600 * user + int(generator.integers(40)) * 60
            ratings.append(f"{user}::{item}::{generator.integers(1, 6)}::{time}")
    ratings = [ratings[place] for place in generator.permutation(len(ratings))]
    movies = [f"{item}::Movie {item} ({1960 + item})::Drama|Sci-Fi" for item in range(3, 31)]
    users = [f"{user}::{'FM'[user % 2]}::25::{user % 3}::{user}5455" for user in range(2, 7)]
    return {
        "ml-1m/ratings.dat": text(*ratings),
        "ml-1m/movies.dat": text(
            "1::Toy Story (1995)::Animation|Children's|Comedy",
            "2::Les Misérables (1995)::Children's",
            *movies,
            encoding="latin-1",
        ),
        "ml-1m/users.dat": text("1::F::1::10::48067", *users),
    }
