"""Training through changes of the catalogue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hsrl_pipeline.catalogue import LiveCatalogue
from hsrl_pipeline.config.agents.a2c import A2CSettings
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.config.agents.shared import EncoderConfig
from hsrl_pipeline.config.agents.sl import EarlyStoppingConfig, SupervisedSettings
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore
from hsrl_pipeline.training.early_stopping import EarlyStopping
from hsrl_pipeline.training.trainer import Trainer

from .conftest import CPU, ENCODER, N_ITEMS, StopHere, make_context, stop_at

SETTINGS = {
    "hsrl": HsrlSettings(encoder=ENCODER, warm_start_iterations=12),
    "hsrl_items": HsrlSettings(encoder=ENCODER, warm_start_iterations=12, action_space="items"),
    "hsrl_paper": None,
    "a2c": A2CSettings(encoder=ENCODER, new_items="ridge"),
}


def make_catalogue(live, published):
    whole = make_context()
    rows = np.arange(N_ITEMS + 1)
    known = np.isin(rows, published)[:, None]
    return LiveCatalogue(
        np.isin(rows, live),
        np.where(known, whole.item_vectors, np.float32(0.0)),
        np.where(known, whole.codes, -1),
    )


LAUNCH = list(range(1, 9))
CHANGES = {
    0: make_catalogue(LAUNCH, LAUNCH),
    15: make_catalogue([1, 2, 4, 5, 6, 9, 10], [*LAUNCH, 9, 10]),
    22: make_catalogue([1, 3, 4, 5, 9, 10, 11], [*LAUNCH, 9, 10, 11]),
}


def train(parts, config, *, checkpoints=None, on_metrics=None, catalogues=CHANGES, seed=0):
    agent, sessions, log = parts
    trainer = Trainer(
        agent, config, seed=seed, device=CPU, sessions=sessions, log=log, catalogues=catalogues
    )
    history = trainer.run(on_metrics, checkpoints)
    return agent, history


def launch_context():
    first = CHANGES[0]
    return replace(make_context(), item_vectors=first.item_vectors, codes=first.codes)


def make(parts, name, context=None):
    context = context or launch_context()
    return parts(settings=SETTINGS[name], name=name.removesuffix("_items"), context=context)


def assert_equal_trees(first, second):
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_equal_trees(first[key], second[key])
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    else:
        assert first == second


@pytest.mark.parametrize(
    ("name", "stop"),
    [("hsrl", 15), ("hsrl", 20), ("hsrl_items", 20), ("hsrl_paper", 20), ("a2c", 25)],
)
def test_a_run_stopped_around_a_change_ends_with_the_same_bits(
    parts, config, tmp_path, name, stop
) -> None:
    unbroken, history = train(make(parts, name), config())
    store = FileCheckpointStore(tmp_path / "run.pt")
    with pytest.raises(StopHere):
        train(make(parts, name), config(), checkpoints=store, on_metrics=stop_at(stop))
    resumed, again = train(make(parts, name), config(resume=True), checkpoints=store)
    assert_equal_trees(unbroken.state_dict(), resumed.state_dict())
    assert history.equals(again)
    assert unbroken.state_dict()["catalogue_version"] == CHANGES[22].version


def test_a_kill_in_the_middle_of_a_change_resumes_to_the_same_bits(
    parts, config, tmp_path, monkeypatch
) -> None:
    every = config(checkpoint_every=5)
    unbroken, _ = train(make(parts, "hsrl"), every)
    store = FileCheckpointStore(tmp_path / "run.pt")
    agent, sessions, log = make(parts, "hsrl")
    whole = type(agent).set_catalogue

    def killed(self, catalogue):
        whole(self, catalogue)
        if catalogue is CHANGES[15]:
            raise StopHere

    with monkeypatch.context() as patch:
        patch.setattr(type(agent), "set_catalogue", killed)
        with pytest.raises(StopHere):
            train((agent, sessions, log), every, checkpoints=store)
    assert store.load()["iteration"] == 15
    resumed, _ = train(
        make(parts, "hsrl"), every.model_copy(update={"resume": True}), checkpoints=store
    )
    assert_equal_trees(unbroken.state_dict(), resumed.state_dict())


def test_sessions_refuse_what_is_not_live_and_no_agent_shows_it(parts, config) -> None:
    agent, sessions, log = make(parts, "hsrl")
    seen = []
    step = sessions.step

    def watched(slates):
        seen.append((sessions.catalogue_version, set(slates.unique().tolist())))
        return step(slates)

    sessions.step = watched
    train((agent, sessions, log), config())
    live = {change.version: set(change.live_items.tolist()) for change in CHANGES.values()}
    assert {version for version, _ in seen} == set(live)
    assert all(items <= live[version] for version, items in seen)
    shown_later = set().union(*(items for version, items in seen if version == CHANGES[15].version))
    assert shown_later & {9, 10}


def test_a_second_thread_changes_no_bit(parts, config) -> None:
    before = torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            runs.append(train(make(parts, "hsrl"), config())[0].state_dict())
    finally:
        torch.set_num_threads(before)
    assert_equal_trees(*runs)


def test_a_catalogue_of_all_items_changes_no_bit(parts, config) -> None:
    everything = list(range(1, N_ITEMS + 1))
    whole = make_catalogue(everything, everything)
    known = make_context()
    plain, history = train(make(parts, "hsrl", known), config(), catalogues=None)
    told, same = train(make(parts, "hsrl", known), config(), catalogues={0: whole, 15: whole})
    assert_equal_trees(plain.policy_state(), told.policy_state())
    assert history.equals(same)


def test_a_run_resumes_under_the_same_changes_alone(parts, config, tmp_path) -> None:
    store = FileCheckpointStore(tmp_path / "run.pt")
    train(make(parts, "hsrl"), config(n_iterations=20), checkpoints=store)
    other = {**CHANGES, 15: make_catalogue([1, 2, 4, 5], [*LAUNCH])}
    message = rf"catalogues\.15 \(was \"{CHANGES[15].version}\", is \"{other[15].version}\"\)"
    for changes in (other, None):
        with pytest.raises(UserError, match=message if changes else "catalogues"):
            train(make(parts, "hsrl"), config(resume=True), checkpoints=store, catalogues=changes)
    # what has not happened yet may be decided otherwise
    later = {**CHANGES, 22: other[15]}
    agent, _ = train(make(parts, "hsrl"), config(resume=True), checkpoints=store, catalogues=later)
    assert agent.state_dict()["catalogue_version"] == other[15].version


def test_an_agent_that_stopped_early_takes_the_changes_that_are_left(parts, config) -> None:
    encoder = EncoderConfig(**ENCODER.model_dump() | {"use_step": False})
    settings = SupervisedSettings(
        encoder=encoder, early_stopping=EarlyStoppingConfig(check_every=1, patience=1)
    )
    agent, sessions, log = parts(settings=settings, name="sl", context=launch_context())
    # a loss that never falls ends training at once
    agent.held_out_loss = lambda batch: torch.tensor(1.0)
    trainer = Trainer(
        agent,
        config(),
        seed=0,
        device=CPU,
        sessions=sessions,
        log=log,
        stopping=EarlyStopping(agent, log),
        catalogues=CHANGES,
    )
    trainer.run()
    assert agent.state_dict()["catalogue_version"] == CHANGES[22].version
    assert not agent.policy_state()["encoder.items.id_embedding.weight"][[9, 10, 11]].any()


def test_what_watches_sees_the_agent_before_a_change_and_one_that_stopped_at_all_later_times(
    parts, config
) -> None:
    stops_early = SupervisedSettings(
        encoder=EncoderConfig(**ENCODER.model_dump() | {"use_step": False}),
        early_stopping=EarlyStoppingConfig(check_every=1, patience=1),
    )
    versions = [CHANGES[0], CHANGES[0], CHANGES[15], CHANGES[22]]
    for name, settings in (("hsrl", SETTINGS["hsrl"]), ("sl", stops_early)):
        agent, sessions, log = parts(settings=settings, name=name, context=launch_context())
        stopping = None
        if name == "sl":
            agent.held_out_loss = lambda batch: torch.tensor(1.0)
            stopping = EarlyStopping(agent, log)
        seen = []
        Trainer(
            agent,
            config(),
            seed=0,
            device=CPU,
            sessions=sessions,
            log=log,
            stopping=stopping,
            catalogues=CHANGES,
            watch=lambda updates, acting, seen=seen: seen.append(
                (updates, acting.catalogue_version)
            ),
            watch_at=(10, 15, 18, 30),
        ).run()
        assert [updates for updates, _ in seen] == [10, 15, 18, 30]
        assert [version for _, version in seen] == [change.version for change in versions]
