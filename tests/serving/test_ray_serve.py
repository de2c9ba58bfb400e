"""The application on replicas of a local Ray Serve: needs the extra ``cluster``."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.ray_serve import deploy

from .small_model import IDS, small_model, small_publisher

PORT, TOKEN = 8391, "secret"
PREFIX = "SERVE_REPLICA::hsrl#"


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"\[cluster\]"):
        deploy(small_model(), replicas=2, port=PORT)


def call(method: str, path: str, body: Any = None) -> tuple[int, Any]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", raw, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def version() -> str:
    return str(call("GET", "/catalogue")[1]["catalogue_version"])


def versions(count: int = 40) -> set[str]:
    """Return the versions that answer, of as many requests as reach every replica."""
    return {call("POST", "/recommend", {"n": 2})[1]["catalogue_version"] for _ in range(count)}


@pytest.mark.slow
class TestReplicas:
    @pytest.fixture(scope="class", autouse=True)
    def cluster(self) -> Iterator[Any]:
        ray = pytest.importorskip("ray")
        serve = pytest.importorskip("ray.serve")
        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
        deploy(small_model(publisher=small_publisher()), replicas=2, port=PORT, token=TOKEN)
        yield ray
        serve.shutdown()
        ray.shutdown()

    def test_a_change_reaches_all_replicas_before_it_is_acknowledged(self) -> None:
        first = version()
        item = {"item_id": "film 13", "content": {"length": 90}, "vector": [1, 0.5, -1]}
        body = {"version_before": first, "release": [IDS[1]], "new": [item]}
        status, told = call("POST", "/catalogue", body)
        assert (status, told["live_items"]) == (200, 12)
        for _ in range(40):
            answer = call("POST", "/recommend", {"n": 12})[1]
            assert answer["catalogue_version"] == told["catalogue_version"]
            assert set(answer["items"]) == {*IDS[2:], "film 13"}
        assert call("POST", "/catalogue", body)[0] == 409
        assert call("POST", "/catalogue/rollback")[0] == 200
        assert versions() == {first}
        bad = {"version_before": first, "new": [{**item, "vector": [1]}]}
        assert call("POST", "/catalogue", bad)[1]["field"] == "new.0.vector"

    def test_swaps_under_load_lose_no_request_and_show_no_released_item(self) -> None:
        released: set[str] = set()
        shown_after: list[set[str]] = []
        end = time.monotonic() + 8.0

        def ask() -> list[int]:
            statuses = []
            while time.monotonic() < end:
                gone = set(released)
                status, answer = call("POST", "/recommend", {"history": [IDS[2]], "n": 2})
                statuses.append(status)
                shown_after.append(gone & set(answer.get("items", [])))
            return statuses

        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(ask) for _ in range(4)]
            for item in IDS[3:9]:
                body = {"version_before": version(), "release": [item]}
                assert call("POST", "/catalogue", body)[0] == 200
                released.add(item)
                time.sleep(0.5)
            statuses = [status for one in asked for status in one.result()]
        assert set(statuses) == {200}
        assert len(statuses) > 50
        assert not set().union(*shown_after)

    def test_a_replica_in_place_of_a_dead_one_makes_the_changes_again(self, cluster: Any) -> None:
        names = [
            actor["name"]
            for actor in cluster.util.list_named_actors(all_namespaces=True)
            if actor["name"].startswith(PREFIX)
        ]
        assert len(names) == 2
        cluster.kill(cluster.get_actor(names[0], namespace="serve"))
        status, told = call(
            "POST", "/catalogue", {"version_before": version(), "release": [IDS[9]]}
        )
        assert status == 200
        for _ in range(120):
            now = [
                actor["name"]
                for actor in cluster.util.list_named_actors(all_namespaces=True)
                if actor["name"].startswith(PREFIX)
            ]
            if len(now) == 2 and names[0] not in now:
                break
            time.sleep(0.5)
        time.sleep(2.0)
        assert versions() == {told["catalogue_version"]}

    def test_more_replicas_than_cores_are_refused(self) -> None:
        with pytest.raises(UserError, match="need 99 cores"):
            deploy(small_model(), replicas=99, port=PORT)
