"""What every agent must do when the catalogue moves."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.base import Agent, AgentContext
from hsrl_pipeline.agents.follows_clicks import FollowsClicks
from hsrl_pipeline.agents.policy_checkpoint import describe_policy, restore_policy
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.catalogue import LiveCatalogue
from hsrl_pipeline.config.agent import AGENT_NAMES
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.networks import code_search
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.replay.transitions import TransitionBatch
from hsrl_pipeline.seeding import torch_generator

from .test_conformance import (
    N_ITEMS,
    assert_equal_states,
    flatten,
    learn,
    make_context,
    make_log,
    make_settings,
    make_transitions,
    observe,
)

LEVERS = {"absent_share": 0.2, "unseen_share": 0.3, "arrival_prior": 2.0}
# who is tested, and with which settings
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in AGENT_NAMES} | {
    "hsrl_trie": ("hsrl", {"policy_head": "trie"}),
    "hsrl_codes": ("hsrl", {"policy_head": "codes"}),
    "hsrl_items": ("hsrl", {"action_space": "items"}),
    "hsrl_items_mean": ("hsrl", {"action_space": "items", "new_items": "mean"}),
    "hsrl_items_trie": ("hsrl", {"action_space": "items", "policy_head": "trie"}),
    "hsrl_levers": ("hsrl", LEVERS),
    "hsrl_items_levers": ("hsrl", {"action_space": "items", **LEVERS}),
    "hsrl_paper_prefix": ("hsrl_paper", {"critic_head": "prefix"}),
    "hsrl_ids": ("hsrl", {"encoder": {"use_item_ids": True}}),
    "a2c_ridge": ("a2c", {"new_items": "ridge"}),
    "ddpg_clicks": ("ddpg", {"behavior_coef": 1.0}),
}
LAUNCH = [1, 2, 3, 4, 5, 6, 7, 8, 9]
NEW = [10, 11]
RELEASED = [3, 8]
AFTER = [item for item in [*LAUNCH, *NEW] if item not in RELEASED]


def make_catalogue(live: list[int], published: list[int]) -> LiveCatalogue:
    whole = make_context()
    known = np.isin(np.arange(N_ITEMS + 1), published)
    mask = np.isin(np.arange(N_ITEMS + 1), live)
    return LiveCatalogue(
        mask,
        np.where(known[:, None], whole.item_vectors, np.float32(0.0)),
        np.where(known[:, None], whole.codes, -1),
    )


AT_LAUNCH = make_catalogue(LAUNCH, LAUNCH)
CHANGED = make_catalogue(AFTER, [*LAUNCH, *NEW])
EVERYTHING = make_catalogue(list(range(1, N_ITEMS + 1)), list(range(1, N_ITEMS + 1)))


def launch_context(seed: int = 0) -> AgentContext:
    whole = vars(make_context(seed))
    tables = {"item_vectors": AT_LAUNCH.item_vectors, "codes": AT_LAUNCH.codes}
    return AgentContext(**whole | tables)


def at_launch(variant: str, n_updates: int = 3) -> Agent:
    """Return an agent that has learned for a while under the catalogue of the launch."""
    name, options = VARIANTS[variant]
    agent = build_agent(name, make_settings(name, **options), launch_context())
    agent.set_catalogue(AT_LAUNCH)
    list(learn(agent, n_updates))
    return agent


def act(agent: Agent, explore: bool, shown: int = 0) -> torch.Tensor:
    observation = observe(200, torch_generator(2, "acting"), shown=shown)
    return agent.act(observation, explore=explore, generator=torch_generator(0, "draw")).slates


def replayed(agent: Agent) -> TransitionBatch | None:
    """Transitions whose slates hold items that leave, and in which they were shown before."""
    if agent.experience == "log":
        return None
    batch = make_transitions(agent, 32, torch_generator(4, "replay"))
    gone = torch.tensor([[3, 8], [1, 3], [8, 2], [5, 6]]).repeat(8, 1)
    return batch._replace(slates=gone)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("explore", [True, False])
def test_slates_hold_live_items_alone(variant: str, explore: bool) -> None:
    agent = at_launch(variant)
    assert set(act(agent, explore).unique().tolist()) <= set(LAUNCH)
    agent.set_catalogue(CHANGED)
    twin = agent.twin()
    for one in (agent, twin):
        for shown in (0, 4):
            assert set(act(one, explore, shown).unique().tolist()) <= set(AFTER)


@pytest.mark.parametrize("variant", VARIANTS)
def test_new_items_can_be_shown(variant: str) -> None:
    agent = at_launch(variant, n_updates=1)
    agent.set_catalogue(make_catalogue([1, 2, *NEW], [*LAUNCH, *NEW]))
    observation = observe(200, torch_generator(2, "acting"))
    free = observation._replace(shown=torch.tensor([[1, 2]]).repeat(200, 1))
    for explore in (True, False):
        slates = agent.act(free, explore=explore, generator=torch_generator(0, "draw")).slates
        assert set(slates.unique().tolist()) == set(NEW)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_update_learns_from_before_the_change_and_released_items_teach_nothing(
    variant: str,
) -> None:
    agent = at_launch(variant)
    batch, log = replayed(agent), make_log(16, torch_generator(6, "log"))
    agent.set_catalogue(CHANGED)
    before = agent.policy_state()
    for _ in range(2):
        losses = agent.update(batch, log).losses
        assert all(bool(loss.isfinite()) for loss in losses.values())
    after = agent.policy_state()
    assert all(bool(weight.isfinite().all()) for weight in after.values())
    assert any(not torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_catalogue_of_all_items_changes_no_bit(variant: str) -> None:
    name, options = VARIANTS[variant]
    plain, told = (build_agent(name, make_settings(name, **options), make_context()) for _ in "ab")
    list(learn(plain, 2)), list(learn(told, 2))
    told.set_catalogue(EVERYTHING)
    assert_equal_states(list(learn(plain, 2)), list(learn(told, 2)))
    assert_equal_states(plain.state_dict(), told.state_dict())
    for explore in (True, False):
        assert torch.equal(act(plain, explore, 3), act(told, explore, 3))


@pytest.mark.parametrize("variant", VARIANTS)
def test_equal_seeds_give_equal_bytes_through_a_change(variant: str) -> None:
    first, second = at_launch(variant), at_launch(variant)
    for agent in (first, second):
        agent.set_catalogue(CHANGED)
        torch.rand(3)
    assert_equal_states(list(learn(first, 2)), list(learn(second, 2)))
    assert_equal_states(first.state_dict(), second.state_dict())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_change_writes_rows_of_new_items_alone(variant: str) -> None:
    agent = at_launch(variant)
    before = flatten(agent.state_dict())
    agent.set_catalogue(CHANGED)
    after = flatten(agent.state_dict())
    assert before.keys() == after.keys()
    written = {*NEW, *(item - 1 for item in NEW)}  # a code of its own is an item less one
    for key, value in before.items():
        changed = (
            (value != after[key]).reshape(len(value), -1).any(1)
            if value.ndim
            else value[None] != after[key]
        )
        assert set(changed.nonzero()[:, 0].tolist()) <= written, key
    moments = [key for key in after if key.split("/")[-1] in {"exp_avg", "exp_avg_sq"}]
    for key in moments:
        if len(after[key].shape) and len(after[key]) == N_ITEMS + 1:
            assert not after[key][NEW].any(), key


@pytest.mark.parametrize(("variant", "predicted"), [("a2c", False), ("a2c_ridge", True)])
def test_vectors_of_new_items_start_by_the_rule_that_is_set(variant: str, predicted: bool) -> None:
    agent = at_launch(variant)
    agent.set_catalogue(CHANGED)
    vectors = agent.policy_state()["encoder.items.id_embedding.weight"]
    assert vectors[NEW].any() == predicted


def test_a_new_item_starts_at_the_mean_of_those_that_were_live_until_then() -> None:
    agent = at_launch("a2c")
    agent.set_catalogue(CHANGED)
    bias = agent._actor.item_bias
    bias.data.copy_(torch.arange(N_ITEMS + 1.0).square())
    agent.set_catalogue(make_catalogue([*AFTER, 12], [*LAUNCH, *NEW, 12]))
    assert bias[12].item() == pytest.approx(np.mean([item**2 for item in AFTER]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_agent_resumes_after_a_change_and_a_policy_is_restored(variant: str) -> None:
    name, options = VARIANTS[variant]
    unbroken = at_launch(variant)
    unbroken.set_catalogue(CHANGED)
    list(learn(unbroken, 1))
    stored = io.BytesIO()
    torch.save(unbroken.state_dict(), stored)
    stored.seek(0)
    state = torch.load(stored, weights_only=True)
    fresh, resumed = (
        build_agent(name, make_settings(name, **options), launch_context()) for _ in "ab"
    )
    with pytest.raises(ValueError, match=f"{name} is of catalogue version {CHANGED.version}, None"):
        resumed.load_state_dict(state)
    for agent in (fresh, resumed):
        agent.set_catalogue(CHANGED)
    resumed.load_state_dict(state)
    fresh.load_policy_state(unbroken.policy_state())
    assert torch.equal(act(unbroken, False), act(fresh, False))
    assert_equal_states(list(learn(unbroken, 2)), list(learn(resumed, 2)))
    later = make_catalogue([*AFTER, 12, 3], [*LAUNCH, *NEW, 12])
    for agent in (unbroken, resumed):
        agent.set_catalogue(later)
    assert_equal_states(unbroken.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_twin_made_after_a_change_shares_the_tables(variant: str) -> None:
    agent = at_launch(variant)
    agent.set_catalogue(CHANGED)
    own, copied = (dict(one._modules.named_buffers()) for one in (agent, agent.twin()))
    assert all(copied[key] is value for key, value in own.items())
    targets = dict(agent._targets.named_buffers())
    vectors = [value for key, value in (own | targets).items() if key.endswith("item_vectors")]
    assert len({value.data_ptr() for value in vectors}) <= 1


@pytest.mark.parametrize("variant", ["a2c", "hsrl", "hsrl_trie", "td3"])
@pytest.mark.parametrize(
    ("catalogue", "message"),
    [
        (make_catalogue([4], LAUNCH), "1 live items, a slate needs 2"),
        (
            LiveCatalogue(AT_LAUNCH.live, AT_LAUNCH.item_vectors[:, 1:], AT_LAUNCH.codes),
            r"item_vectors of the catalogue has shape \(13, 5\), .* \(13, 6\)",
        ),
        (
            LiveCatalogue(AT_LAUNCH.live, AT_LAUNCH.item_vectors, AT_LAUNCH.codes * 4),
            "code 8 at level 1, .* knows 3 codes there",
        ),
        (
            LiveCatalogue(AT_LAUNCH.live, AT_LAUNCH.item_vectors, AT_LAUNCH.codes * [1, 4]),
            "code 12 at level 2, .* knows 4 codes there",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changes(
    variant: str, catalogue: LiveCatalogue, message: str
) -> None:
    agent = at_launch(variant)
    before, slates = flatten(agent.state_dict()), act(agent, False)
    with pytest.raises(ValueError, match=message):
        agent.set_catalogue(catalogue)
    assert_equal_states(before, agent.state_dict())
    assert agent.state_dict()["catalogue_version"] == AT_LAUNCH.version
    assert torch.equal(slates, act(agent, False))


@pytest.mark.parametrize("variant", ["hsrl", "hsrl_items", "hsrl_trie", "a2c", "td3"])
def test_a_policy_is_restored_under_its_version_alone(variant: str) -> None:
    name, options = VARIANTS[variant]
    trained, settings = at_launch(variant), make_settings(name, **options)
    trained.set_catalogue(CHANGED)
    list(learn(trained, 1))
    checkpoint = describe_policy(trained, settings, launch_context(), {})
    restored = restore_policy(checkpoint, launch_context(), CHANGED)
    later = make_catalogue([*AFTER, 12, 3], [*LAUNCH, *NEW, 12])
    for catalogue in (CHANGED, later):
        for agent in (trained, restored):
            agent.set_catalogue(catalogue)
        assert_equal_states(trained.policy_state(), restored.policy_state())
        assert torch.equal(act(trained, False), act(restored, False))
    version = f"catalogue_version {CHANGED.version} instead of"
    for given, message in (
        (None, f"{version} None"),
        (AT_LAUNCH, f"{version} {AT_LAUNCH.version}"),
    ):
        with pytest.raises(UserError, match=message):
            restore_policy(checkpoint, launch_context(), given)
    with pytest.raises(UserError, match=f"launch_version {AT_LAUNCH.version} instead of"):
        restore_policy(checkpoint, make_context(), CHANGED)
    still = describe_policy(at_launch_untold(variant), settings, launch_context(), {})
    assert "catalogue_version" not in still["config"]
    with pytest.raises(UserError, match="catalogue_version None instead of"):
        restore_policy(still, launch_context(), AT_LAUNCH)


def at_launch_untold(variant: str) -> Agent:
    """Return an agent that was never told of a catalogue."""
    name, options = VARIANTS[variant]
    return build_agent(name, make_settings(name, **options), launch_context())


def tables_of(agent: Agent) -> dict[str, torch.Tensor]:
    """Return all that an agent knows of the catalogue, by name; learned weights left out."""
    modules = {key: part for key, part in vars(agent).items() if isinstance(part, torch.nn.Module)}
    return {
        f"{key}.{name}": table
        for key, part in modules.items()
        for name, table in part.named_buffers()
    }


@pytest.mark.parametrize(
    "variant", ["hsrl", "hsrl_codes", "hsrl_trie", "hsrl_items", "hsrl_items_trie", "hsrl_paper"]
)
@pytest.mark.parametrize("seed", range(3))
def test_many_changes_leave_the_tables_of_an_agent_made_after_them(variant: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    name, options = VARIANTS[variant]
    changed = build_agent(name, make_settings(name, **options), launch_context())
    live, published = set(LAUNCH), set(LAUNCH)
    every = np.arange(1, N_ITEMS + 1)
    for _ in range(6):
        released = rng.choice(sorted(live), rng.integers(0, len(live) - 4))
        live = live - set(released.tolist()) | set(rng.choice(every, 3).tolist())
        published |= live
        catalogue = make_catalogue(sorted(live), sorted(published))
        changed.set_catalogue(catalogue)
    tables = {"item_vectors": catalogue.item_vectors, "codes": catalogue.codes}
    context = AgentContext(**vars(make_context()) | tables)
    made_now = build_agent(name, make_settings(name, **options), context)
    made_now.set_catalogue(catalogue)

    found, expected = tables_of(changed), tables_of(made_now)
    assert found.keys() == expected.keys() and len(found) > 0
    for key, table in expected.items():
        assert torch.equal(found[key], table), key


def follower(variant: str) -> Agent:
    """Return an agent that follows the clicks of items that arrive, after two of them have."""
    agent = at_launch(variant)
    agent.set_catalogue(CHANGED)
    return agent


@pytest.mark.parametrize("variant", ["hsrl_levers", "hsrl_items_levers"])
def test_a_policy_without_updates_goes_by_clicks_on_new_items(variant: str) -> None:
    agent = follower(variant)
    assert isinstance(agent, FollowsClicks) and agent.follows_clicks
    observation = observe(40, torch_generator(2, "serving"))
    before, weights = agent.item_scores(observation), agent.policy_state()
    slates = torch.tensor([[NEW[0], NEW[1]], [NEW[0], LAUNCH[0]]]).repeat(20, 1)
    clicks = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).repeat(20, 1)
    agent.observe(observation, slates, clicks)
    moved = agent.item_scores(observation) - before
    assert bool((moved[:, NEW[0]] > 0.1).all()) and bool((moved[:, NEW[1]] < -0.1).all())
    others = [item for item in AFTER if item not in NEW]
    assert not moved[:, others].any()
    changed = {
        name
        for name, weight in agent.policy_state().items()
        if not torch.equal(weight, weights[name])
    }
    assert changed == {"head.statistics.effects", "head.statistics.information"}
    # the policy that is kept knows them, and how likely clicks are at all
    name, options = VARIANTS[variant]
    kept = describe_policy(agent, make_settings(name, **options), launch_context(), {})
    restored = restore_policy(kept, launch_context(), CHANGED)
    torch.testing.assert_close(restored.item_scores(observation), agent.item_scores(observation))
    for one in (agent, restored):
        one.observe(observation, slates, clicks)
    assert_equal_states(agent.policy_state(), restored.policy_state())


@pytest.mark.parametrize("variant", ["hsrl_levers", "hsrl_items_levers"])
def test_an_update_follows_the_clicks_it_learns_from_and_the_twin_acts_by_them_when_told(
    variant: str,
) -> None:
    agent = follower(variant)
    twin = agent.twin()
    batch = make_transitions(agent, 32, torch_generator(4, "new"))
    shown = torch.tensor([NEW]).repeat(32, 1)
    agent.update(
        batch._replace(slates=shown, clicks=torch.ones(32, 2)),
        make_log(16, torch_generator(6, "log")),
    )
    effects = agent.policy_state()["head.statistics.effects"]
    assert bool((effects[NEW] > 0).all()) and effects.count_nonzero() == len(NEW)
    assert not twin.policy_state()["head.statistics.effects"].any()
    twin.copy_weights_of(agent)
    assert torch.equal(twin.policy_state()["head.statistics.effects"], effects)


@pytest.mark.parametrize("variant", ["hsrl_levers", "hsrl_items_levers"])
def test_a_bonus_raises_what_is_little_known_and_no_expected_click(variant: str) -> None:
    name, options = VARIANTS[variant]
    agents = []
    for bonus in (0.0, 3.0):
        settings = make_settings(name, **options, arrival_bonus=bonus)
        agents.append(build_agent(name, settings, launch_context()))
        agents[-1].set_catalogue(CHANGED)
    plain, curious = agents
    observation = observe(40, torch_generator(2, "serving"))
    raised = curious.item_scores(observation) - plain.item_scores(observation)
    bonus_at_first = 3.0 / math.sqrt(LEVERS["arrival_prior"]) / settings.click_temperature
    assert raised[:, NEW].flatten().tolist() == pytest.approx([bonus_at_first] * 80, rel=1e-4)
    assert not raised[:, [item for item in AFTER if item not in NEW]].any()
    items = torch.tensor([[NEW[0], LAUNCH[0]]]).repeat(40, 1)
    few = curious.scores_of(observation, items) - plain.scores_of(observation, items)
    torch.testing.assert_close(few, raised.gather(1, items))
    # expectations of clicks, and so what is learned from them, are those without a bonus
    for agent in agents:
        agent.observe(observation, items, torch.ones(40, 2))
    assert_equal_states(plain.policy_state(), curious.policy_state())
    after = curious.item_scores(observation) - plain.item_scores(observation)
    assert bool((after[:, NEW[0]] < 0.9 * bonus_at_first).all())
    assert after[:, NEW[1]].tolist() == pytest.approx([bonus_at_first] * 40, rel=1e-4)


def test_a_policy_that_does_not_follow_clicks_says_so_and_ignores_them() -> None:
    agent = follower("hsrl")
    assert not agent.follows_clicks
    before = agent.policy_state()
    observation = observe(4, torch_generator(2, "serving"))
    agent.observe(observation, torch.tensor([NEW]).repeat(4, 1), torch.ones(4, 2))
    assert_equal_states(before, agent.policy_state())


@pytest.mark.parametrize("variant", ["hsrl", "hsrl_items"])
def test_an_update_leaves_out_other_items_each_time(variant: str, monkeypatch) -> None:
    name, options = VARIANTS[variant]
    shares = {"absent_share": 0.25, "unseen_share": 0.5}
    agent = build_agent(name, make_settings(name, **options, **shares), launch_context())
    seen: list[tuple[set[int], set[int]]] = []
    forward = CodeScores.forward

    def watched(self: CodeScores, state: torch.Tensor) -> torch.Tensor:
        if self.unseen is not None:
            live = self.has_code.nonzero()[:, 0].tolist()
            seen.append((set(LAUNCH) - set(live), set(self.unseen.nonzero()[:, 0].tolist())))
        return forward(self, state)

    monkeypatch.setattr(CodeScores, "forward", watched)
    list(learn(agent, 40))
    assert len({frozenset(absent) for absent, _ in seen}) > 10
    assert all(not absent & unseen for absent, unseen in seen)
    assert np.mean([len(absent) for absent, _ in seen]) == pytest.approx(0.25 * 9, abs=0.7)
    assert np.mean([len(unseen - {0}) for _, unseen in seen]) == pytest.approx(0.5 * 12, abs=1.0)
    # acting knows all of them
    scores = agent.item_scores(observe(1, torch_generator(2, "acting")))
    assert scores.isfinite().nonzero()[:, 1].tolist() == LAUNCH


def test_a_served_policy_that_follows_clicks_finds_its_best_items_after_they_moved(
    monkeypatch,
) -> None:
    sizes = {"FEWEST_ITEMS": 1, "FEWEST_PER_GROUP": 0.0, "LOOSEST": np.inf, "LARGEST_SHARE": 1}
    for name, value in {**sizes, "FIRST_GROUPS": 1}.items():
        monkeypatch.setattr(code_search, name, value)
    agent = follower("hsrl_levers")
    agent.prepare_to_serve()
    observation = observe(8, torch_generator(2, "serving"))
    slates = torch.tensor([NEW]).repeat(8, 1)
    for _ in range(100):
        agent.observe(observation, slates, torch.tensor([[1.0, 0.0]]).repeat(8, 1))
    items, scores = agent.best_items(observation, 1)
    assert (items == NEW[0]).all()
    torch.testing.assert_close(scores, agent.item_scores(observation).gather(1, items))
