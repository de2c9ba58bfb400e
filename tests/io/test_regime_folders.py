import pytest

from hsrl_pipeline.io.project_artifacts import ProjectArtifacts

from ..test_chain import PROJECT


def paths(dataset="synthetic", **parameters):
    nested = {}
    for name, value in parameters.items():
        group, _, own = name.partition("__")
        nested.setdefault(group, {})[own] = value
    catalog = ProjectArtifacts(PROJECT, dataset, nested)._catalog
    names = ("trained_policy", "training_history", "evaluation_metrics")
    return ["/".join(catalog[name]["filepath"].split("/")[3:-1]) for name in names]


def test_files_of_the_regimes_lie_apart():
    repeats = ["agents/hsrl-seed0", "agents/hsrl-seed0", "evaluations/hsrl-seed0"]
    without = [path.replace("/", "/no_repeats/", 1) for path in repeats]
    assert paths() == repeats
    assert paths(candidates__exclude_shown=True) == without
    assert paths(candidates__frequency_cap=1) == without
    assert paths(candidates__frequency_cap=2) == repeats
    assert paths("jester") == without
    assert paths("kuairand_pure", candidates__exclude_shown=False) == repeats


@pytest.mark.parametrize("value", ["perhaps", 7])
def test_values_that_are_refused_later_do_not_break_the_names(value):
    assert paths(candidates__exclude_shown=value)[0] == "agents/hsrl-seed0"


def test_a_policy_of_the_other_regime_is_read_from_its_folder_and_judged_under_its_own_name():
    assert paths(evaluation__policy_regime="no_repeats") == [
        "agents/no_repeats/hsrl-seed0",
        "agents/hsrl-seed0",
        "evaluations/hsrl@no_repeats-seed0",
    ]
    assert paths(
        candidates__exclude_shown=True, evaluation__policy_regime="repeats", agent__label="my-seed"
    ) == [
        "agents/my-seed-seed0",
        "agents/no_repeats/my-seed-seed0",
        "evaluations/no_repeats/my-seed@repeats-seed0",
    ]
    assert paths(evaluation__policy_regime="repeats") == paths()
