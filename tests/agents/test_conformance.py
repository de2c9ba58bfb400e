"""What every registered agent must do, whatever it learns from."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.base import Agent, AgentContext, LogBatch
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.config.agent import AGENT_NAMES, AgentConfig, AgentsConfig
from hsrl_pipeline.config.agents.shared import AgentSettings
from hsrl_pipeline.config.session import HistoryForm
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch
from hsrl_pipeline.seeding import torch_generator

See = Callable[[int, torch.Generator], Observation]
N_ITEMS, SLATE, HISTORY, GROUPS = 12, 2, 4, 2
# two groups of users; each clicks its own two items and nothing else
LIKED = torch.tensor([[0, 0], [3, 4], [9, 10]])
LAST = torch.tensor([0, 0, 0, 1])  # the newest place of a history
FAST = {
    "encoder": {"embedding_size": 8, "n_layers": 1, "n_heads": 2, "feedforward_size": 8},
    "learning_rate": 0.01,
}
# what a small problem wants otherwise than the defaults; an agent without a line has FAST alone
OWN = {
    "a2c": {"entropy_coef": 0.02},
    "ddpg": {"learning_rate": 0.003, "exploration_noise_std": 0.6, "hidden_size": 32},
    "td3": {"learning_rate": 0.003, "exploration_noise_std": 0.6, "hidden_size": 32},
    "pg_ra": {"learning_rate": 0.003, "latent_size": 6, "hidden_size": 32, "initial_std": 0.5},
    "hac": {"hidden_size": 32, "policy_coef": 1.0},
    "hsrl_paper": {"entropy_coef": 0.02},
    "hsrl": {"warm_start_iterations": 0, "entropy_coef": 0.01},
}
# what else reads the next observation than the bootstrap
WITHOUT_OTHER_USE_OF_SUCCESSOR = {"pg_ra": {"representation_coef": 0.0}}
WITHOUT_TARGETS = {"a2c", "pg_ra"}
BEST_REWARD = 1.0
LEARNED = 0.8
UPDATES = {"sl": 60, "a2c": 60, "hsrl": 60, "hsrl_paper": 60, "hac": 60, "pg_ra": 200}
MOST_UPDATES = 330


def make_context(
    seed: int = 0, shelves: np.ndarray | None = None, history: HistoryForm = "clicks"
) -> AgentContext:
    # neighbours 1 and 2, 3 and 4, ... are alike, in their vectors and in their codes
    kinds = np.eye(N_ITEMS // 2).repeat(2, axis=0)
    noise = np.random.default_rng(7).normal(scale=0.1, size=kinds.shape)
    vectors = np.vstack([np.zeros(N_ITEMS // 2), kinds + noise]).astype(np.float32)
    codes = np.array([[-1, -1], *[[item // 4, item % 4] for item in range(N_ITEMS)]])
    return AgentContext(
        n_items=N_ITEMS,
        slate_size=SLATE,
        history_size=HISTORY,
        category_sizes=(GROUPS + 2,),
        n_dense=1,
        horizon=20,
        item_vectors=vectors,
        codes=codes.astype(np.int64),
        vocab_sizes=(3, 4),
        device=torch.device("cpu"),
        seed=seed,
        shelves=shelves,
        history=history,
    )


def make_settings(name: str, **overrides: object) -> AgentSettings:
    values = {**FAST, **OWN.get(name, {}), **overrides}
    encoder = {**FAST["encoder"], **overrides.get("encoder", {})}
    defaults = getattr(AgentsConfig(), name)
    return type(defaults).model_validate(
        defaults.model_dump() | values | {"encoder": defaults.encoder.model_dump() | encoder}
    )


def make_agent(name: str, seed: int = 0, **overrides: object) -> Agent:
    return build_agent(name, make_settings(name, **overrides), make_context(seed))


def make_reader(name: str, **overrides: object) -> Agent:
    """Return an agent that sees shown items with their responses."""
    return build_agent(name, make_settings(name, **overrides), make_context(history="responses"))


LEARNERS = [name for name in AGENT_NAMES if make_agent(name).experience != "log"]


def shown_items(batch: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Distinct items of each row, some places of which are free."""
    items = torch.rand(batch, N_ITEMS, generator=generator).argsort(1)[:, :count] + 1
    free = torch.rand(batch, count, generator=generator) < 0.2
    return items.masked_fill(free, 0)


def observe(batch: int, generator: torch.Generator, *, shown: int = 0) -> Observation:
    history = torch.randint(0, N_ITEMS + 1, (batch, HISTORY), generator=generator)
    # left-padded: nothing before a padded position
    history = history * (history.eq(0).flip(1).cumsum(1).flip(1) == 0)
    return Observation(
        torch.randint(1, GROUPS + 1, (batch, 1), generator=generator),
        torch.randn(batch, 1, generator=generator),
        history,
        torch.randint(0, 20, (batch,), generator=generator),
        shown_items(batch, shown, generator),
    )


def observe_responses(batch: int, generator: torch.Generator) -> Observation:
    """Users of unknown groups who were shown one item that somebody likes."""
    shown = LIKED[1:].flatten()[torch.randint(0, 4, (batch,), generator=generator)]
    return observe(batch, generator)._replace(
        user_categories=torch.zeros(batch, 1, dtype=torch.int64),
        history=shown[:, None] * LAST,
        responses=torch.randint(0, 2, (batch, 1), generator=generator) * LAST,
    )


def group_of(observation: Observation) -> torch.Tensor:
    if not observation.responses.shape[1]:
        return observation.user_categories[:, 0]
    # who clicked on an item of the first six is of group 1, and so is who skipped another
    second = observation.history[:, -1] > N_ITEMS // 2
    return 1 + (second == observation.responses[:, -1].bool()).long()


def click(observation: Observation, slates: torch.Tensor) -> torch.Tensor:
    liked = LIKED[group_of(observation)]
    return (slates[:, :, None] == liked[:, None, :]).any(-1).float()


def transition(observation: Observation, slates: torch.Tensor, clicks: torch.Tensor) -> Observation:
    if observation.responses.shape[1]:
        return observation._replace(
            history=torch.cat([observation.history, slates], dim=1)[:, -HISTORY:],
            responses=torch.cat([observation.responses, clicks.long()], dim=1)[:, -HISTORY:],
            step=observation.step + 1,
        )
    longer = torch.cat([observation.history, slates * clicks.long()], dim=1)
    order = longer.ne(0).long().argsort(dim=1, stable=True)
    history = longer.gather(1, order)[:, -HISTORY:]
    return observation._replace(history=history, step=observation.step + 1)


def random_slates(batch: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(batch, N_ITEMS, generator=generator).argsort(1)[:, :SLATE] + 1


def make_transitions(
    agent: Agent,
    batch: int,
    generator: torch.Generator,
    *,
    explore: bool = True,
    see: See = observe,
) -> TransitionBatch:
    observation = see(batch, generator)
    action = agent.act(observation, explore=explore, generator=generator)
    clicks = click(observation, action.slates)
    return TransitionBatch(
        observation,
        action.slates,
        clicks,
        (1.2 * clicks - 0.2).mean(-1),
        transition(observation, action.slates, clicks),
        torch.rand(batch, generator=generator) < 0.5,
        torch.zeros(batch, dtype=torch.bool),
        action.latent_action,
        action.log_prob,
    )


def make_log(batch: int, generator: torch.Generator, see: See = observe) -> LogBatch:
    observation = see(batch, generator)._replace(step=torch.zeros(batch, dtype=torch.int64))
    slates = random_slates(batch, generator)
    return LogBatch(observation, slates, click(observation, slates))


def learn(
    agent: Agent, n_updates: int, seed: int = 3, see: See = observe
) -> Iterator[dict[str, torch.Tensor]]:
    generator = torch_generator(seed, "conformance")
    for _ in range(n_updates):
        batch = None
        if agent.experience != "log":
            batch = make_transitions(agent, 32, generator, see=see)
        yield agent.update(batch, make_log(64, generator, see)).losses


def bandit_learn(agent: Agent, n_updates: int, see: See = observe) -> None:
    """Sessions of one step: replay agents learn from everything they ever did."""
    generator = torch_generator(5, "bandit")
    ones = torch.ones(32, dtype=torch.bool)
    store: list[TransitionBatch] = []
    for _ in range(n_updates):
        batch = None
        if agent.experience != "log":
            batch = make_transitions(agent, 32, generator, see=see)._replace(terminated=ones)
        if agent.experience == "replay" and batch is not None:
            store.append(batch)
            picked = int(
                torch.randint(max(0, len(store) - 100), len(store), (), generator=generator)
            )
            batch = store[picked]
        agent.update(batch, make_log(64, generator, see))


def flatten(state: object, prefix: str = "") -> dict[str, torch.Tensor]:
    if isinstance(state, dict):
        pairs = [flatten(value, f"{prefix}/{key}".lstrip("/")) for key, value in state.items()]
        return {name: value for pair in pairs for name, value in pair.items()}
    if isinstance(state, (list, tuple)):
        return flatten(dict(enumerate(state)), prefix)
    if isinstance(state, torch.Tensor):
        return {prefix: state.detach().clone()}
    if isinstance(state, (int, float)):
        return {prefix: torch.tensor(float(state))}
    return {}


def assert_equal_states(first: object, second: object) -> None:
    left, right = flatten(first), flatten(second)
    assert left.keys() == right.keys()
    different = [name for name in left if not torch.equal(left[name], right[name])]
    assert not different


@pytest.mark.parametrize(
    ("experience", "names"),
    [
        ("log", ["sl"]),
        ("fresh", ["a2c", "hsrl", "pg_ra"]),
        ("replay", ["ddpg", "hac", "hsrl_paper", "td3"]),
    ],
)
def test_settings_say_what_an_agent_learns_from(experience: str, names: list[str]) -> None:
    for name in names:
        assert make_settings(name).experience == make_agent(name).experience == experience


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_settings_say_discount_and_slates_per_state(name: str) -> None:
    agent = make_agent(name)
    assert agent.gamma == getattr(make_settings(name), "gamma", 0.0)
    assert agent.group_size == make_settings(name).slates_per_state == 1


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_learns_a_problem_with_a_known_optimum(name: str) -> None:
    agent = make_agent(name)
    bandit_learn(agent, UPDATES.get(name, MOST_UPDATES))
    observation = observe(200, torch_generator(1, "judge"))
    slates = agent.act(observation, explore=False).slates
    reward = (1.2 * click(observation, slates) - 0.2).mean()
    assert reward >= LEARNED * BEST_REWARD


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_learns_what_skips_tell(name: str) -> None:
    """A skipped item is all that is known of half of the users: clicks alone end at half."""
    agent = make_reader(name)
    bandit_learn(agent, UPDATES.get(name, MOST_UPDATES), observe_responses)
    observation = observe_responses(200, torch_generator(1, "judge"))
    slates = agent.act(observation, explore=False).slates
    reward = (1.2 * click(observation, slates) - 0.2).mean()
    assert reward >= LEARNED * BEST_REWARD


@pytest.mark.parametrize("name", LEARNERS)
def test_values_read_the_responses(name: str) -> None:
    agent = make_reader(name)
    batch = make_transitions(agent, 8, torch_generator(6, "values"), see=observe_responses)
    alive = batch._replace(terminated=torch.zeros(8, dtype=torch.bool))
    after = alive.next_observation
    turned = alive._replace(next_observation=after._replace(responses=1 - after.responses))
    values = [agent.bootstrap(one).td_target for one in (alive, turned)]
    assert not torch.equal(*values)


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_a_saved_agent_that_reads_responses_continues_bit_identically(name: str) -> None:
    unbroken, resumed = make_reader(name), make_reader(name)
    list(learn(unbroken, 3, see=observe_responses))
    resumed.load_state_dict(unbroken.state_dict())
    losses = [list(learn(agent, 3, 8, observe_responses)) for agent in (unbroken, resumed)]
    assert_equal_states(*losses)
    assert_equal_states(unbroken.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_agents_refuse_the_other_form_of_the_history(name: str) -> None:
    generator = torch_generator(2, "acting")
    for agent, see in ((make_reader(name), observe), (make_agent(name), observe_responses)):
        with pytest.raises(ValueError, match="responses"):
            agent.act(see(3, generator), explore=False)


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_equal_seeds_give_equal_weights_and_unequal_seeds_do_not(name: str) -> None:
    agents = [make_agent(name, seed, encoder={"dropout": 0.2}) for seed in (0, 0, 1)]
    for agent in agents:
        torch.manual_seed(len(name))
        list(learn(agent, 4))
        torch.rand(3)
    assert_equal_states(agents[0].state_dict(), agents[1].state_dict())
    with pytest.raises(AssertionError):
        assert_equal_states(agents[0].state_dict(), agents[2].state_dict())


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_a_saved_agent_continues_bit_identically(name: str) -> None:
    unbroken = make_agent(name, encoder={"dropout": 0.2})
    list(learn(unbroken, 3))
    stored = io.BytesIO()
    torch.save(unbroken.state_dict(), stored)
    stored.seek(0)
    resumed = make_agent(name, seed=9, encoder={"dropout": 0.2})
    list(learn(resumed, 1))
    resumed = make_agent(name, encoder={"dropout": 0.2})
    resumed.load_state_dict(torch.load(stored, weights_only=True))
    # whatever else the process draws must not matter
    torch.rand(11)
    losses = list(learn(unbroken, 3, seed=8))
    torch.rand(5)
    assert_equal_states(losses, list(learn(resumed, 3, seed=8)))
    assert_equal_states(unbroken.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_mixed_precision_changes_nothing_without_a_gpu(name: str) -> None:
    plain, mixed = (make_agent(name, mixed_precision=used) for used in (False, True))
    assert_equal_states(list(learn(plain, 1)), list(learn(mixed, 1)))


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_every_network_of_an_agent_is_part_of_its_state(name: str) -> None:
    agent = make_agent(name)
    networks = [part for part in vars(agent).values() if isinstance(part, torch.nn.Module)]
    held = {id(weight) for part in networks for weight in part.parameters()}
    kept = (agent._modules, agent._targets)
    assert held == {id(weight) for part in kept for weight in part.parameters()}


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_the_policy_state_is_all_that_acting_needs(name: str) -> None:
    trained, fresh = make_agent(name), make_agent(name, seed=4)
    list(learn(trained, 5))
    state = trained.policy_state()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    fresh.load_policy_state(state)
    observation = observe(50, torch_generator(2, "acting"))
    chosen = [agent.act(observation, explore=False) for agent in (trained, fresh)]
    assert torch.equal(chosen[0].slates, chosen[1].slates)
    kept = {key: value.clone() for key, value in state.items()}
    list(learn(trained, 2))
    assert_equal_states(state, kept)


@pytest.mark.parametrize("name", LEARNERS)
def test_no_gradient_flows_into_the_successor(name: str) -> None:
    agent = make_agent(name)
    generator = torch_generator(6, "targets")
    batch = make_transitions(agent, 32, generator)
    unseen = torch.full_like(batch.next_observation.user_categories, GROUPS + 1)
    unseen_next = batch.next_observation._replace(user_categories=unseen)
    batch = batch._replace(
        next_observation=unseen_next, terminated=torch.zeros(32, dtype=torch.bool)
    )
    before = agent.policy_state()
    for _ in range(4):
        agent.update(batch, make_log(16, generator))
    after = agent.policy_state()
    (table,) = [key for key in before if key.endswith("category_embedding.weight")]
    assert torch.equal(before[table][GROUPS + 1], after[table][GROUPS + 1])
    assert not torch.equal(before[table][1], after[table][1])


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("terminated", [True, False])
def test_only_termination_stops_the_bootstrap(name: str, terminated: bool) -> None:
    first, second = (make_agent(name, **WITHOUT_OTHER_USE_OF_SUCCESSOR.get(name, {})) for _ in "ab")
    generator = torch_generator(6, "bootstrap")
    batch = make_transitions(first, 16, generator)
    flag = torch.full((16,), terminated)
    batch = batch._replace(terminated=flag, truncated=~flag)
    other = batch._replace(next_observation=observe(16, generator))
    log = make_log(16, generator)
    first.update(batch, log)
    second.update(other, log)
    if terminated:
        assert_equal_states(first.state_dict(), second.state_dict())
    else:
        with pytest.raises(AssertionError):
            assert_equal_states(first.state_dict(), second.state_dict())


@pytest.mark.parametrize("name", LEARNERS)
def test_successors_may_be_valued_before_the_update(name: str) -> None:
    first, second = (make_agent(name, encoder={"dropout": 0.2}) for _ in "ab")
    twin = second.twin()
    generator = torch_generator(6, "bootstrap")
    batch, log = make_transitions(first, 16, generator), make_log(16, generator)
    for _ in range(3):
        first.update(batch, log)
        second.update(batch, log, twin.bootstrap(batch))
        twin.copy_weights_of(second)
    assert_equal_states(first.state_dict(), second.state_dict())


@pytest.mark.parametrize("name", [name for name in LEARNERS if name not in WITHOUT_TARGETS])
def test_target_networks_follow_by_the_share_tau(name: str) -> None:
    agent = make_agent(name, tau=0.25)
    before = flatten(agent.state_dict()["targets"])
    list(learn(agent, 2 if name == "td3" else 1))  # td3 moves them every second update
    state = agent.state_dict()
    online, targets = flatten(state["networks"]), flatten(state["targets"])
    for key, target in targets.items():
        own = online.get(key, online.get(f"policy.{key}"))
        torch.testing.assert_close(target, before[key] + 0.25 * (own - before[key]))
    moved = {key.split(".")[0] for key in before if not torch.equal(before[key], targets[key])}
    assert moved and moved == {key.split(".")[0] for key in before}


@pytest.mark.parametrize("name", ["a2c", "hsrl", "hsrl_paper", "pg_ra"])
def test_the_price_of_entropy_falls_to_its_final_value(name: str) -> None:
    steady, falling = (
        make_agent(name, entropy_coef=1.0, **options)
        for options in ({}, {"final_entropy_coef": 0.0, "entropy_annealing_updates": 1})
    )
    list(learn(steady, 1))
    list(learn(falling, 1))
    assert_equal_states(steady.state_dict(), falling.state_dict())
    without = make_agent(name, entropy_coef=0.0)
    without.load_state_dict(falling.state_dict())
    for agent in (steady, falling, without):
        list(learn(agent, 1, seed=8))
    assert_equal_states(falling.state_dict(), without.state_dict())
    with pytest.raises(AssertionError):
        assert_equal_states(falling.state_dict(), steady.state_dict())


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_a_twin_acts_alike_and_follows_only_when_told(name: str) -> None:
    agent = make_agent(name)
    twin = agent.twin()
    start = agent.policy_state()
    list(learn(agent, 3))
    assert_equal_states(twin.policy_state(), start)
    twin.copy_weights_of(agent)
    assert_equal_states(twin.policy_state(), agent.policy_state())
    observation = observe(50, torch_generator(2, "acting"))
    for explore in (False, True):
        chosen = [
            one.act(observation, explore=explore, generator=torch_generator(0, "draw"))
            for one in (agent, twin)
        ]
        assert torch.equal(chosen[0].slates, chosen[1].slates)


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_a_twin_shares_the_tables_of_the_catalogue(name: str) -> None:
    agent = make_agent(name)
    own, copied = (dict(one._modules.named_buffers()) for one in (agent, agent.twin()))
    assert own
    assert all(copied[key] is value for key, value in own.items())


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_step_sizes_can_fall_to_nothing(name: str) -> None:
    options = {"warm_start_iterations": 2} if name == "hsrl" else {}
    moving, slowed = make_agent(name, **options), make_agent(name, **options)
    slowed.scale_learning_rates(0.5)
    slowed.scale_learning_rates(1.0)
    list(learn(moving, 2))
    list(learn(slowed, 2))
    before = slowed.policy_state()
    for key, weight in moving.policy_state().items():
        assert torch.equal(weight, before[key]), key
    slowed.scale_learning_rates(0.0)
    list(learn(slowed, 3))  # hsrl goes over to another step size on the way
    for key, weight in slowed.policy_state().items():
        assert torch.equal(weight, before[key]), key


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_dropout_is_off_when_acting(name: str) -> None:
    plain, dropping = make_agent(name), make_agent(name, encoder={"dropout": 0.6})
    dropping.load_policy_state(plain.policy_state())
    observation = observe(50, torch_generator(2, "acting"))
    for explore in (False, True):
        chosen = [
            agent.act(observation, explore=explore, generator=torch_generator(0, "draw"))
            for agent in (plain, dropping)
        ]
        assert torch.equal(chosen[0].slates, chosen[1].slates)
    list(learn(dropping, 1))
    again = [dropping.act(observation, explore=False).slates for _ in range(2)]
    assert torch.equal(again[0], again[1])


@pytest.mark.parametrize("name", AGENT_NAMES)
@pytest.mark.parametrize("explore", [True, False])
def test_acting_changes_nothing(name: str, explore: bool) -> None:
    agent = make_agent(name)
    before = flatten(agent.state_dict())
    random_state = torch.get_rng_state()
    observation = observe(10, torch_generator(2, "acting"))
    kept = Observation(*(field.clone() for field in observation))
    action = agent.act(observation, explore=explore, generator=torch_generator(0, "draw"))
    assert_equal_states(before, flatten(agent.state_dict()))
    assert torch.equal(random_state, torch.get_rng_state())
    assert all(torch.equal(*pair) for pair in zip(kept, observation, strict=True))
    assert not any(part.requires_grad for part in action)


@pytest.mark.parametrize("name", AGENT_NAMES)
@pytest.mark.parametrize("explore", [True, False])
def test_slates_are_distinct_allowed_items(name: str, explore: bool) -> None:
    agent = make_agent(name)
    observation = observe(300, torch_generator(2, "acting"), shown=5)
    action = agent.act(observation, explore=explore, generator=torch_generator(0, "draw"))
    assert action.slates.shape == (300, SLATE) and action.slates.dtype == torch.int64
    assert action.latent_action.shape == (300, agent.latent_size)
    assert action.log_prob.shape == (300,)
    assert int(action.slates.min()) >= 1 and int(action.slates.max()) <= N_ITEMS
    assert bool((action.slates[:, 0] != action.slates[:, 1]).all())
    shown_again = (action.slates[:, :, None] == observation.shown[:, None, :]).any()
    assert not bool(shown_again)


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_slates_take_equally_many_items_from_each_shelf_and_are_learned_from(name: str) -> None:
    shelves = np.array([0] + [1] * 5 + [2] * 7)
    agent = build_agent(name, make_settings(name), make_context(shelves=shelves))
    observation = observe(40, torch_generator(2, "acting"))
    for explore in (True, False):
        action = agent.act(observation, explore=explore, generator=torch_generator(0, "draw"))
        assert bool((action.slates[:, 0] <= 5).all()) and bool((action.slates[:, 1] > 5).all())
    losses = next(learn(agent, 1))
    assert all(bool(loss.isfinite()) for loss in losses.values())


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_greedy_is_deterministic_and_exploring_is_not(name: str) -> None:
    agent = make_agent(name)
    list(learn(agent, 3))
    observation = observe(50, torch_generator(2, "acting"))

    def draw(explore: bool, seed: int) -> torch.Tensor:
        return agent.act(
            observation, explore=explore, generator=torch_generator(seed, "draw")
        ).slates

    assert torch.equal(draw(False, 0), draw(False, 1))
    assert torch.equal(draw(True, 0), draw(True, 0))
    assert not torch.equal(draw(True, 0), draw(True, 1))


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_settings_survive_a_round_trip(name: str) -> None:
    settings = make_settings(name)
    assert type(settings).model_validate_json(settings.model_dump_json()) == settings
    agents = AgentsConfig.model_validate(AgentsConfig().model_dump())
    assert agents.settings_of(AgentConfig(name=name)) == getattr(agents, name)
    assert agents.settings_of(AgentConfig(name=name), 0.5).learning_rate == 0.5


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_the_protocol_is_met(name: str) -> None:
    agent = make_agent(name)
    assert isinstance(agent, Agent)
    assert agent.name == name
    losses = next(learn(agent, 1))
    assert losses and all(loss.ndim == 0 and not loss.requires_grad for loss in losses.values())
    assert agent.log_batch_size > 0 or not agent.uses_log
    missing = "logged slates" if agent.experience == "log" else "transitions"
    with pytest.raises(ValueError, match=f"^{name} was updated without {missing}$"):
        agent.update(None, None)


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_a_log_is_read_only_while_the_agent_uses_it(name: str) -> None:
    first, second = make_agent(name), make_agent(name)
    generator = torch_generator(6, "log")
    batch, log = make_transitions(first, 16, generator), make_log(16, generator)
    if first.uses_log:
        with pytest.raises(ValueError, match=f"^{name} was updated without logged slates$"):
            first.update(batch, None)
        return
    first.update(batch, None)
    second.update(batch, log)
    assert_equal_states(first.state_dict(), second.state_dict())


def test_an_unknown_agent_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="td3"):
        build_agent("sarsa", make_settings("sl"), make_context())
