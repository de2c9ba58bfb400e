from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.config import OmegaConfigLoader

from hsrl_pipeline.config.root import Parameters, validate_parameters
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"
ENVIRONMENTS = sorted(folder.name for folder in CONF.iterdir() if (folder / "globals.yml").exists())


def load(env: str, **runtime: Any) -> dict[str, Any]:
    loader = OmegaConfigLoader(str(CONF), env=env, runtime_params=runtime, **CONFIG_LOADER_ARGS)
    parameters: dict[str, Any] = loader["parameters"]
    for name, values in runtime.items():
        if isinstance(values, dict):
            parameters.setdefault(name, {}).update(values)
        else:
            parameters[name] = values
    return parameters


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_environment_is_valid(env: str) -> None:
    tree = validate_parameters(load(env))
    assert tree.seed == 0


# what has no default: a run without conf/ has to say it
REQUIRED = {"ingestion": {"source"}}


@pytest.mark.parametrize("section", sorted({*Parameters.model_fields} - {"seed"}))
def test_defaults_of_the_models_are_the_values_of_conf_base(section: str) -> None:
    written = load("base")[section]
    model = Parameters.model_fields[section].annotation
    required = {name: written[name] for name in REQUIRED.get(section, ())}
    by_default, by_conf = model(**required), model.model_validate(written)
    assert by_conf.model_dump() == by_default.model_dump()


def test_every_agent_of_conf_is_in_one_file_of_its_environment() -> None:
    for path in CONF.glob("*/parameters*.yml"):
        sections = yaml.safe_load(path.read_text()) or {}
        assert ("agents" in sections) == (path.name == "parameters_agents.yml"), path


@pytest.mark.parametrize(
    ("runtime", "parts"),
    [
        ({"sedd": 3}, ["unknown parameter 'sedd'", "did you mean 'seed'?", "training"]),
        (
            {"training": {"n_iteration": 5}},
            ["unknown parameter 'training.n_iteration'", "did you mean 'n_iterations'?"],
        ),
        ({"training": {"n_iterations": -1}}, ["'training.n_iterations' is -1", "greater than"]),
        ({"agent": {"name": "dqn"}}, ["'agent.name' is 'dqn'", "'hsrl'", "'td3'"]),
        (
            {"agent": {"name": "hsrl_papr"}},
            ["'agent.name' is 'hsrl_papr': did you mean 'hsrl_paper'?"],
        ),
        ({"agents": {"dqn": {}}}, ["unknown parameter 'agents.dqn'", "td3"]),
        (
            {"evaluation": {"compare_with": "best"}},
            ["'evaluation.compare_with' is 'best'", "'static_slate'", "'hsrl'"],
        ),
        ({"seed": "x"}, ["'seed' is 'x'", "integer"]),
        ({"sid": {"vocab_size": 0}}, ["sid.vocab_size", "0"]),
        ({"agents": {"td3": {"tua": 1}}}, ["'agents.td3.tua'", "did you mean 'tau'?"]),
        ({"agent": {"name": "td3", "entropy_coef": 0.1}}, ["no entropy term"]),
        ({"agent": {"name": "td3", "label": "hac"}}, ["'agent.label' is 'hac'", "another policy"]),
        (
            {"agent": {"label": "static_slate"}},
            ["'agent.label' is 'static_slate'", "another policy"],
        ),
        ({"agent": {"label": "../x"}}, ["'agent.label' is '../x'", "letters, digits"]),
        ({"evaluation": {"n_episodes": 0}}, ["evaluation.n_episodes"]),
        (
            {"training": {"buffer_size": 10}},
            ["parameters under 'training': buffer_size (10) must be at least", "(64) (conf/"],
        ),
        (
            {"agents": {"hsrl": {"encoder": {"n_heads": 5}}}},
            ["parameters under 'agents.hsrl.encoder': n_heads (5) must divide"],
        ),
        (
            {"training": {"return_steps": 3, "acting_batch_size": 8}},
            ["under 'training': return_steps (3) above 1", "fresh_batch_size (32)", "size (8)"],
        ),
        (
            {"agents": {"hsrl": {"group_size": 4}}},
            ["agents.hsrl.group_size is 4", "no clicks to learn from", "feedback=expected"],
        ),
        (
            {
                "agents": {"hsrl": {"group_size": 4}},
                "training": {"feedback": "expected", "acting_batch_size": 16},
            },
            ["group_size is 4", "all 16 sessions at a time, not 32", "training.fresh_batch_size"],
        ),
        (
            {"agents": {"hsrl": {"group_size": 2, "item_credit": False}}},
            ["under 'agents.hsrl': group_size (2)", "needs item_credit true"],
        ),
        ({"agents": {"hsrl": {"group_size": 0}}}, ["'agents.hsrl.group_size' is 0"]),
        ({"agents": {"a2c": {"group_size": 2}}}, ["unknown parameter 'agents.a2c.group_size'"]),
        ({"training": {"return_steps": 0}}, ["'training.return_steps' is 0", "greater than"]),
        ({"training": {"return_decay": 1.5}}, ["'training.return_decay' is 1.5", "less than"]),
        (
            {"training": {"return_steps": 2}, "agent": {"name": "td3"}},
            ["training.return_steps is 2", "agent 'td3' knows no steps in a row", "at 1"],
        ),
        (
            {"agents": {"hsrl_paper": {"level_decay": 0.5}}},
            ["'agents.hsrl_paper': level_decay (0.5)", "critic_head prefix, it is multi_level"],
        ),
        (
            {"agents": {"hsrl_paper": {"level_decay": 1.5, "critic_head": "prefix"}}},
            ["'agents.hsrl_paper.level_decay' is 1.5", "less than or equal to 1"],
        ),
        ({"training": {"warmup_transitions": 0}}, ["'training.warmup_transitions' is 0"]),
        (
            {"training": {"disagreement_penalty": -1.0}},
            ["'training.disagreement_penalty' is -1.0", "greater than or equal to 0"],
        ),
        (
            {"training": {"disagreement_penalty": 1.0}, "simulator": {"n_members": 5}},
            ["under 'training': disagreement_penalty (1.0)", "feedback is sampled", "expected"],
        ),
        (
            {"training": {"disagreement_penalty": 1.0, "feedback": "expected"}},
            ["'training.disagreement_penalty' is 1.0", "'simulator.n_members' is 1", "at least 2"],
        ),
        (
            {
                "training": {"disagreement_penalty": 1.0, "feedback": "expected"},
                "simulator": {"n_members": 5, "kind": "constant"},
            },
            ["'training.disagreement_penalty' is 1.0", "'simulator.kind' is constant", "learned"],
        ),
    ],
)
def test_a_refused_parameter_is_named_with_what_is_allowed(runtime, parts) -> None:
    with pytest.raises(UserError) as caught:
        validate_parameters(load("base", **runtime))
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("runtime", "said"),
    [
        ({"seed": 1.0}, "'seed' is 1.0: write a whole number"),
        ({"seed": 1e3}, "'seed' is 1000.0: write a whole number"),
        ({"seed": True}, "'seed' is True: write a whole number"),
        ({"seed": "7"}, "'seed' is '7': write a whole number"),
        ({"training": {"n_iterations": 8.0}}, "'training.n_iterations' is 8.0: write a whole"),
        ({"training": {"n_iterations": "8.0"}}, "'training.n_iterations' is '8.0': write a whole"),
        ({"training": {"n_iterations": True}}, "'training.n_iterations' is True: write a whole"),
        ({"training": {"resume": 1}}, "'training.resume' is 1: write true or false"),
        ({"training": {"resume": "true"}}, "'training.resume' is 'true': write true or false"),
        ({"training": {"learning_rate": "1e-3"}}, "'training.learning_rate' is '1e-3': write a n"),
        ({"reward": {"miss_penalty": True}}, "'reward.miss_penalty' is True: write a number"),
        ({"agents": {"td3": {"tau": "0.1"}}}, "'agents.td3.tau' is '0.1': write a number"),
        (
            {"ingestion": {"tabular": {"value_range": ["1", 5]}}},
            "'ingestion.tabular.value_range[0]' is '1': write a number",
        ),
        ({"agent": {"label": 7}}, "'agent.label' is 7: input should be a valid string"),
    ],
)
def test_a_value_of_another_type_is_refused_whatever_the_parameter(runtime, said) -> None:
    with pytest.raises(UserError) as caught:
        validate_parameters(load("base", **runtime))
    assert said in str(caught.value)


def test_whole_numbers_are_numbers_and_dates_are_days() -> None:
    runtime = {
        "reward": {"miss_penalty": 1},
        "ingestion": {"date": "2024-05-01", "tabular": {"value_range": [1, 5]}},
    }
    tree = validate_parameters(load("base", **runtime))
    assert tree.reward.miss_penalty == 1.0
    assert tree.ingestion.date == "2024-05-01"
    assert tree.ingestion.tabular.value_range == (1.0, 5.0)


def test_a_penalty_on_disagreement_goes_with_members_and_expected_feedback() -> None:
    training = {"disagreement_penalty": 0.5, "feedback": "expected"}
    tree = validate_parameters(load("base", training=training, simulator={"n_members": 2}))
    assert tree.training.disagreement_penalty == 0.5
    assert validate_parameters(load("base")).training.disagreement_penalty == 0.0


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(UserError) as caught:
        validate_parameters(load("base", sedd=1, training={"n_iterations": 0}))
    assert "sedd" in str(caught.value)
    assert "training.n_iterations" in str(caught.value)


def test_a_missing_section_is_named() -> None:
    parameters = load("base")
    del parameters["training"]
    with pytest.raises(UserError, match="'training' is missing"):
        validate_parameters(parameters)
