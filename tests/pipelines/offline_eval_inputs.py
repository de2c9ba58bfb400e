"""Small but complete inputs of the offline evaluation: tables, simulators, codes, a policy."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from hsrl_pipeline.agents.policy_checkpoint import agent_context, describe_policy
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.config.agent import AgentsConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.data.synthetic_truth import SyntheticTruth
from hsrl_pipeline.provenance import with_provenance
from hsrl_pipeline.simulator.response.attention import AttentionResponse, ResponseSizes
from hsrl_pipeline.simulator.response.checkpoint import (
    build_response_model,
    describe_response_model,
)
from hsrl_pipeline.simulator.response.personal import PersonalResponse
from hsrl_pipeline.simulator.session_data import SessionData

N_ITEMS, N_USERS, SLATE, N_SLATES = 30, 8, 3, 60
SESSION = SessionConfig(horizon=6, history_size=8)

INFO = {
    "dataset": "tiny",
    "slate_size": SLATE,
    "n_items": N_ITEMS,
    "n_users": N_USERS,
    "category_fields": [{"name": "group", "cardinality": 3}],
    "dense_fields": ["age"],
    "content_fields": ["length"],
    "vector_size": 0,
    "has_shelves": False,
    "time_unit": "s",
    "n_train_slates": 48,
    "n_test_slates": 12,
    "version": "0123456789ab",
}


def make_tables():
    """Return users, items, slates and timeline as ingestion leaves them."""
    rng = np.random.default_rng(0)
    users = pd.DataFrame(
        {
            "user_index": np.arange(1, N_USERS + 1, dtype=np.int32),
            "user_id": [str(n) for n in range(N_USERS)],
            "category_group": rng.integers(1, 3, N_USERS).astype(np.int32),
            "dense_age": rng.normal(size=N_USERS).astype(np.float32),
        }
    )
    items = pd.DataFrame(
        {
            "item_index": np.arange(1, N_ITEMS + 1, dtype=np.int32),
            "item_id": [str(n) for n in range(N_ITEMS)],
            "title": [f"Item {n}" for n in range(N_ITEMS)],
            "content_length": rng.normal(size=N_ITEMS).astype(np.float32),
        }
    )
    shown = np.stack([rng.permutation(N_ITEMS)[:SLATE] + 1 for _ in range(N_SLATES)])
    labels = rng.integers(0, 2, (N_SLATES, SLATE))
    owner = np.repeat(np.arange(1, N_USERS + 1), N_SLATES // N_USERS + 1)[:N_SLATES]
    for table in (users, items):
        table.attrs["dataset_version"] = INFO["version"]
    slates = pd.DataFrame({"slate_index": np.arange(N_SLATES), "user_index": owner})
    slates["timestamp"] = np.arange(N_SLATES)
    slates["split"] = ["train"] * 48 + ["test"] * 12
    first = slates.groupby("user_index")["slate_index"].transform("min").to_numpy()
    positives = np.concatenate([[0], labels.sum(axis=1).cumsum()])
    slates["history_start"], slates["history_end"] = positives[first], positives[:-1]
    for slot in range(SLATE):
        slates[f"item_{slot}"], slates[f"label_{slot}"] = shown[:, slot], labels[:, slot]
    timeline = pd.DataFrame({"item_index": shown[labels > 0].astype(np.int32)})
    return users, items, slates, timeline


def make_simulator(seed, n_members=1):
    """Return the checkpoint of untrained response models with some taste."""
    rng = np.random.default_rng(seed)
    sizes = ResponseSizes(N_ITEMS, (3,), 1, 1, SESSION.history_size, 8, 2)
    models = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for _ in range(n_members):
            content = rng.normal(size=(N_ITEMS + 1, 1)).astype(np.float32)
            clicks = rng.integers(0, 40, N_ITEMS + 1)
            models.append(AttentionResponse(sizes, content, clicks, np.full(N_ITEMS + 1, 50)))
    return with_provenance(describe_response_model(models, {"seed": seed}), INFO["version"])


def make_personal(seed, known):
    """Return the checkpoint of a simulator with tastes, which it knows of some users alone."""
    rng = np.random.default_rng(seed)
    tastes = np.zeros((N_USERS + 1, 3))
    tastes[list(known)] = rng.normal(size=(len(known), 3))
    base = build_response_model(make_simulator(seed))
    tables = {
        "item_vectors": rng.normal(size=(N_ITEMS + 1, 2)),
        "item_log_odds": np.zeros(N_ITEMS + 1),
        "precision": np.full(3, 0.1),
        "scales": np.ones(3),
        "tastes": tastes,
    }
    model = PersonalResponse(base, **{name: torch.from_numpy(t) for name, t in tables.items()})
    return with_provenance(describe_response_model([model], {"seed": seed}), INFO["version"])


def make_setting(data):
    """Return what sessions on the data share."""
    return data.setting(SESSION, RewardConfig(), CandidatesConfig(), torch.device("cpu"))


def make_inputs(*, items_per_code=1, priors=None, **config):
    """Return all inputs of the pipeline by catalog name; ``config`` overrides the policy's."""
    users, items, slates, timeline = make_tables()
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(N_ITEMS + 1, 4)).astype(np.float32)
    vectors[0] = 0.0
    codes = np.full((N_ITEMS + 1, 2), -1)
    codes[1:] = [
        [place // 6, place % 6] for place in (item // items_per_code for item in range(N_ITEMS))
    ]
    item_priors = pd.DataFrame({"item_index": items["item_index"], "prior": np.float32(0.0)})
    item_priors.attrs["dataset_version"] = INFO["version"]
    if priors is not None:
        item_priors["prior"] = np.asarray(priors, np.float32)
    codebook = SimpleNamespace(codes=codes, vocab_sizes=(5, 6), version="c0deb00c")
    inputs = {
        "dataset_info": INFO,
        "users": users,
        "items": items,
        "slates": slates,
        "timeline": timeline,
        "item_vectors": with_provenance(
            {"config": {}, "state": {"vectors": torch.from_numpy(vectors)}}, INFO["version"]
        ),
        "codebook": codebook,
        "item_priors": item_priors,
    }
    data = SessionData.from_tables(**inputs)
    context = agent_context(data, make_setting(data), seed=0)
    settings = AgentsConfig().sl
    policy = describe_policy(
        build_agent("sl", settings, context),
        settings,
        context,
        {"dataset_version": INFO["version"], "codebook_version": "c0deb00c"},
    )
    policy["config"] |= config
    return {
        **inputs,
        "simulator_train": make_simulator(1),
        "simulator_eval": make_simulator(2),
        "trained_policy": policy,
        "synthetic_truth": {"config": {}, "state": {}},
        "propensities": pd.DataFrame({"user_index": [], "item_index": [], "propensity": []}),
    }


def make_truth():
    """Return the checkpoint of true users with tastes of their own."""
    rng = np.random.default_rng(9)

    def unit(rows):
        vectors = rng.normal(size=(rows, 3))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    truth = SyntheticTruth(
        tastes=unit(N_USERS),
        profiles=unit(N_ITEMS),
        quality=rng.normal(0, 0.5, N_ITEMS).astype(np.float32),
        mood=rng.normal(0, 0.3, N_USERS).astype(np.float32),
        bias=0.0,
        strength=3.0,
    )
    return truth.to_checkpoint()
