"""The chain on a CUDA device: agents train and are judged there, and policies work without one.

Skipped on machines without CUDA. On one that has it: `pytest -m gpu`.
"""

import csv
from pathlib import Path

import pytest
import torch
from tests.project_copy import copy_project, kedro

from hsrl_pipeline.config.agent import AGENT_NAMES

# every policy earns between 0 and this on the toy data; two devices may draw other clicks
LARGEST_DIFFERENCE = 0.5
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def run(project: Path, pipelines: str, device: str, **parameters: object) -> None:
    given = {"training.device": device, "evaluation.device": device, **parameters}
    pairs = ",".join(f"{name}={value}" for name, value in given.items())
    done = kedro(project, "run", "--env", "test", "--pipelines", pipelines, "--params", pairs)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def rewards(project: Path) -> dict[str, float]:
    summary = next((project / "data/08_reporting/toy").rglob("summary.csv"))
    with summary.open() as rows:
        return {
            row["policy"]: float(row["total_reward"])
            for row in csv.DictReader(rows)
            if row["simulator"] == "eval"
        }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("cuda"))
    run(folder, "ingestion,sid_tokenization,simulator_training", "cuda")
    return folder


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_agents_train_and_are_judged_on_cuda(project: Path, name: str) -> None:
    run(project, "agent_training,offline_eval", "cuda", **{"agent.name": name})
    on_cuda = rewards(project)
    run(project, "offline_eval", "cpu", **{"agent.name": name})
    on_cpu = rewards(project)
    assert set(on_cuda) == set(on_cpu)
    assert name in on_cuda
    apart = {policy: abs(on_cuda[policy] - on_cpu[policy]) for policy in on_cuda}
    assert max(apart.values()) < LARGEST_DIFFERENCE, apart


@pytest.mark.parametrize("head", ["codes", "trie", "look_up"])
def test_every_head_of_codes_trains_on_cuda(project: Path, head: str) -> None:
    parameters = {"agents.hsrl.policy_head": head, "agent.label": f"hsrl_{head}"}
    run(project, "agent_training,offline_eval", "cuda", **parameters)
    assert f"hsrl_{head}" in rewards(project)
