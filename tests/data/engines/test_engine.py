"""Both engines open, run and write alike."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.engines.duckdb_engine import DuckDBEngine
from hsrl_pipeline.data.engines.open import open_engine
from hsrl_pipeline.errors import UserError

QUICK_START = (
    "--driver-java-options -XX:TieredStopAtLevel=1 --conf spark.sql.codegen.wholeStage=false "
    "pyspark-shell"
)
TABLES = ("interactions", "slates", "timeline", "items", "users")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    for place, day in enumerate(("b", "a")):
        (folder / day).mkdir(parents=True)
        frame = pd.DataFrame({"uid": [10 * place, 10 * place + 1], "t": [5, 6]})
        frame.to_parquet(folder / day / "part.parquet", index=False)
    return folder


def test_parquet_files_count_in_the_order_of_their_paths(tmp_path: Path, logs: Path) -> None:
    engine = DuckDBEngine(tmp_path, threads=1)
    for path in (logs, logs / "*" / "part.parquet"):
        scanned = engine.scan_parquet(path, {"user_id": "uid"}).execute()
        scanned = scanned.sort_values(["file_order", "line"])
        assert scanned["user_id"].tolist() == [10, 11, 0, 1]
        assert scanned["line"].tolist() == [1, 2, 1, 2]
        assert scanned["file"].tolist() == ["part.parquet"] * 4
    engine.close()


def test_missing_damaged_and_misnamed_parquet_is_refused(tmp_path: Path, logs: Path) -> None:
    engine = DuckDBEngine(tmp_path, threads=1)
    with pytest.raises(UserError, match="There is no parquet file at"):
        engine.scan_parquet(tmp_path / "nowhere.parquet", {})
    (tmp_path / "bad.parquet").write_text("not parquet")
    with pytest.raises(UserError, match="can't be read as parquet"):
        engine.scan_parquet(tmp_path / "bad.parquet", {})
    with pytest.raises(UserError, match="has no column 'user'; its columns are 'uid', 't'"):
        engine.scan_parquet(logs, {"user_id": "user"})
    engine.close()


def test_rows_are_written_in_the_order_of_the_expression(tmp_path: Path) -> None:
    config = IngestionConfig(source="ml1m", threads=2, memory_limit_gb=0.5)
    with open_engine(config, tmp_path / "scratch") as engine:
        numbers = engine.backend.create_table("n", pd.DataFrame({"n": range(50_000)}))
        target = tmp_path / "sorted.parquet"
        engine.write(numbers.order_by(numbers.n.desc()), target)
    assert pd.read_parquet(target)["n"].tolist() == list(range(49_999, -1, -1))


@pytest.mark.slow
def test_pyspark_gives_the_tables_of_duckdb(
    ingest: Callable[..., Any], ml1m: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed")
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", QUICK_START)
    bad = (
        b"1::5::9::956703999\nnonsense\n2::7::3::soon\n" + ml1m["ml-1m/ratings.dat"].split(b"\n")[0]
    )
    ml1m["ml-1m/ratings.dat"] += bad + b"\n"
    settings = {"slate_size": 5, "on_bad_rows": "drop"}
    expected = ingest("ml1m", ml1m, **settings)
    got = ingest("ml1m", ml1m, engine="pyspark", spark_master="local[1]", **settings)
    assert expected.accounts.rows_dropped == 4
    assert got.accounts == expected.accounts
    assert got.info == expected.info
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(got, name), getattr(expected, name))


def test_a_missing_pyspark_is_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    config = IngestionConfig(source="ml1m", engine="pyspark")
    with pytest.raises(UserError, match=r"pyspark is not installed.*extra `spark`"):
        with open_engine(config, tmp_path):
            pass
