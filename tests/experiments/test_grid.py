"""From a grid's file to its trials, and the message for one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.experiments.grid import read_grid
from hsrl_pipeline.experiments.trial import PartInfo, Trial

SMALL = """
title: Two agents
agents: [hsrl, sl]
variants:
  - {label: hsrl_items, agent: hsrl, parameters: {agents.hsrl.action_space: items}}
seeds: [0, 1]
datasets: [synthetic]
regimes: [repeats, no_repeats]
parameters:
  training: {n_iterations: 100, batch_size: 8}
sizes:
  quick:
    seeds: [5]
    parameters: {training.n_iterations: 10}
"""

PARTS = """
title: In parts
agents: [hsrl]
seeds: [0]
datasets: [synthetic]
baseline: sl
level_weights: true
parts:
  - name: levels
    title: Levels
    grid: {sid.n_levels: [2, 3]}
    sizes:
      quick:
        grid: {sid.n_levels: [2]}
  - name: both
    baseline: hsrl
    level_weights: false
    agents: [sl]
    grid: {sid.n_levels: [2, 3], training.batch_size: [8, 16]}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yml"
    path.write_text(text)
    return path


def test_agents_and_variants_are_crossed_with_seeds_datasets_and_regimes(tmp_path) -> None:
    grid = read_grid(written(tmp_path, SMALL), "full")
    assert (grid.name, grid.title, len(grid.trials)) == ("mine", "Two agents", 3 * 2 * 2)
    assert [trial.name for trial in grid.trials[:4]] == [
        "hsrl, seed 0, synthetic, repeats",
        "hsrl, seed 0, synthetic, no_repeats",
        "sl, seed 0, synthetic, repeats",
        "sl, seed 0, synthetic, no_repeats",
    ]
    items = grid.trials[5]
    assert (items.label, items.agent, items.variant) == ("hsrl_items", "hsrl", "hsrl_items")
    assert items.overrides() == {
        "training": {"n_iterations": 100, "batch_size": 8},
        "agents": {"hsrl": {"action_space": "items"}},
        "seed": 0,
        "agent": {"name": "hsrl", "label": "hsrl_items"},
        "candidates": {"exclude_shown": True},
    }


def test_a_size_changes_keys_and_single_parameters(tmp_path) -> None:
    trials = read_grid(written(tmp_path, SMALL), "quick").trials
    assert {trial.seed for trial in trials} == {5}
    assert trials[0].parameters == {"training.n_iterations": 10, "training.batch_size": 8}
    assert trials[0].origins == {
        "training.n_iterations": "sizes.quick.parameters",
        "training.batch_size": "parameters",
    }


def test_an_environment_takes_the_place_of_the_datasets(tmp_path) -> None:
    trials = read_grid(written(tmp_path, SMALL), "full", "ml1m").trials
    assert {trial.dataset for trial in trials} == {"ml1m"}


def test_parts_inherit_and_cross_their_own_parameters(tmp_path) -> None:
    grid = read_grid(written(tmp_path, PARTS), "full")
    assert [(trial.part, trial.label) for trial in grid.trials] == [
        ("levels", "hsrl+n_levels2"),
        ("levels", "hsrl+n_levels3"),
        ("both", "sl+n_levels2+batch_size8"),
        ("both", "sl+n_levels2+batch_size16"),
        ("both", "sl+n_levels3+batch_size8"),
        ("both", "sl+n_levels3+batch_size16"),
    ]
    assert grid.trials[0].axes == {"sid.n_levels": 2}
    assert grid.parts == {
        "levels": PartInfo("Levels", "sl", True),
        "both": PartInfo("", "hsrl", False),
    }
    quick = read_grid(written(tmp_path, PARTS), "quick")
    assert [trial.label for trial in quick.trials if trial.part == "levels"] == ["hsrl+n_levels2"]


def test_a_plain_agent_has_no_label_of_its_own() -> None:
    trial = Trial("all", "sl", "sl", 3, "synthetic", "repeats", "sl")
    assert trial.overrides() == {
        "seed": 3,
        "agent": {"name": "sl"},
        "candidates": {"exclude_shown": False},
    }


@pytest.mark.parametrize(
    ("wrong", "key", "said"),
    [
        ("agents: [hsrll]", "agents[0]", "did you mean 'hsrl'"),
        ("seeds: []", "seeds", "'seeds' is empty"),
        ("seeds: [0, 0]", "seeds", "0 is there twice"),
        ("seeds: [-1]", "seeds[0]", "'-1' is refused"),
        ("regimes: [never]", "regimes[0]", "'never' is refused"),
        ("sedes: [1]", "sedes", "did you mean 'seeds'"),
        ("grid: {sid.n_levels: []}", "grid.sid.n_levels", "has no values"),
        ("grid: {seed: [1]}", "grid.seed", "is set by the key 'seeds'"),
        ("parameters: {agent: {name: sl}}", "parameters.agent.name", "set by the key 'agents'"),
        ("variants: [{label: hsrl, agent: hsrl}]", "variants", "the label 'hsrl' is there twice"),
        ("variants: [{label: sl, agent: hsrl}]", "variants[0].label", "name of another policy"),
        ("variants: [{label: a b, agent: hsrl}]", "variants[0].label", "'a b' is refused"),
        ("variants: [{agent: hsrl}]", "variants[0].label", "the key 'label' is missing"),
        ("datasets: []", "datasets", "'datasets' is empty"),
        ("sizes: {quick: {seed: [1]}}", "sizes.quick.seed", "did you mean 'seeds'"),
    ],
)
def test_what_is_wrong_is_one_message_with_file_and_key(tmp_path, wrong, key, said) -> None:
    good = {
        "title": "title: x",
        "agents": "agents: [hsrl]",
        "seeds": "seeds: [0]",
        "datasets": "datasets: [synthetic]",
    }
    good[wrong.partition(":")[0]] = wrong
    path = written(tmp_path, "\n".join(good.values()))
    with pytest.raises(UserError) as caught:
        read_grid(path, "quick")
    message = str(caught.value)
    assert f"({path}, key {key})" in message
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title: x\nagents: [hsrl]\nagents: [sl]\n", "duplicate key agents"),
        ("title: [x\n", "can't be read"),
        ("- a\n", "no mapping"),
        ("agents: [hsrl]\n", "'title' is missing"),
        ("title: x\nagents: [hsrl]\ndatasets: [test]\n", "'seeds' is missing"),
        ("title: x\nseeds: [1]\ndatasets: [test]\n", "no agent and no variant"),
    ],
)
def test_files_that_are_no_grid(tmp_path, text, said) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError, match=said) as caught:
        read_grid(path, "quick")
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        read_grid(tmp_path / "none.yml", "quick")


def test_labels_that_grow_too_long_are_refused(tmp_path) -> None:
    text = SMALL + f"grid: {{agents.hsrl.{'x' * 60}: [1]}}\n"
    with pytest.raises(UserError, match="too long"):
        read_grid(written(tmp_path, text), "quick")


def test_one_part_twice_is_refused(tmp_path) -> None:
    text = PARTS.replace("name: both", "name: levels").replace("agents: [sl]", "agents: [hsrl]")
    text = text.replace(", training.batch_size: [8, 16]", "")
    with pytest.raises(UserError, match="two trials are named"):
        read_grid(written(tmp_path, text), "full")
