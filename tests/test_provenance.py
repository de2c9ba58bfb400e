import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.pipeline_registry import MAKERS, pipeline_that_makes
from hsrl_pipeline.provenance import (
    ORIGINS,
    SOURCES,
    check_provenance,
    checkpoint_version,
    provenance_of,
    with_provenance,
)
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.residual_quantizer import QuantizerSettings, fit_residual_quantizer

OF_D1 = {"dataset_version": "d1"}
OF_LAUNCH = {**OF_D1, "catalogue_schedule_version": "k1"}
OF_ALL_LAUNCHED = {**OF_LAUNCH, "item_vectors_version": "lv1", "codebook_version": "lc1"}
OF_MOVING_RUN = {**OF_ALL_LAUNCHED, "simulator_train_version": "s1"}
FACTS = {
    "dataset_info": {"version": "d1"},
    "users": OF_D1,
    "items": OF_D1,
    "recorded_answers": OF_D1,
    "propensities": OF_D1,
    "synthetic_truth": OF_D1,
    "item_priors": OF_D1,
    "simulator_eval": OF_D1,
    "item_vectors": {**OF_D1, "version": "v1"},
    "item_vectorizer": {**OF_D1, "item_vectors_version": "v1"},
    "codebook": {**OF_D1, "version": "c1", "item_vectors_version": "v1"},
    "simulator_train": {**OF_D1, "version": "s1"},
    "catalogue_schedule": {**OF_D1, "version": "k1", "simulator_train_version": "s1"},
    "launch_item_vectors": {**OF_LAUNCH, "version": "lv1"},
    "launch_item_vectorizer": {**OF_LAUNCH, "item_vectors_version": "lv1"},
    "launch_codebook": {**OF_LAUNCH, "version": "lc1", "item_vectors_version": "lv1"},
    "launch_item_priors": OF_LAUNCH,
    "arriving_items": OF_ALL_LAUNCHED,
    "catalogue_changes": OF_ALL_LAUNCHED,
    "launch_response": OF_LAUNCH,
    "timetable_training": OF_MOVING_RUN,
    "timetable_serving": OF_MOVING_RUN,
    "timetable_retraining": OF_MOVING_RUN,
    "trained_policy": {
        **OF_D1,
        "item_vectors_version": "v1",
        "codebook_version": "c1",
        "simulator_train_version": "s1",
    },
}
PAIRS = [
    (name, source)
    for name, origin in ORIGINS.items()
    for source in (*origin.sources, *origin.later_sources)
]


def changed(name, **fields):
    return {**FACTS, name: {**FACTS[name], **fields}}


def message_of(facts, options=""):
    with pytest.raises(UserError) as caught:
        check_provenance(facts, options)
    return str(caught.value)


def test_every_artifact_is_made_by_the_pipeline_that_messages_name():
    assert {name: pipeline_that_makes(name) for name in ORIGINS} == {
        name: origin.pipeline for name, origin in ORIGINS.items()
    }
    order = list(MAKERS)
    places = [order.index(origin.pipeline) for origin in ORIGINS.values()]
    assert places == sorted(places)


def test_what_belongs_together_is_accepted():
    check_provenance(FACTS)
    check_provenance({"codebook": FACTS["codebook"], "other": {}})
    check_provenance({})


@pytest.mark.parametrize(("name", "source"), PAIRS)
def test_each_artifact_is_compared_with_each_of_its_sources(name, source):
    field, noun = SOURCES[source]
    message = message_of(changed(name, **{field: "old"}))
    now = FACTS[source]["version"]
    assert message == (
        f"{name} was made from {noun} old, this is {now}. "
        f"Run first: kedro run --pipeline {ORIGINS[name].pipeline}"
    )


def test_all_that_is_stale_is_one_message_with_the_pipelines_in_order():
    facts = changed("dataset_info", version="d2")
    del facts["users"], facts["items"], facts["recorded_answers"]
    del facts["propensities"], facts["synthetic_truth"]
    assert message_of(facts, " --env ml1m") == (
        "item_vectors, item_vectorizer, codebook, item_priors, simulator_train, simulator_eval, "
        "catalogue_schedule, launch_item_vectors, launch_item_vectorizer, launch_codebook, "
        "launch_item_priors, arriving_items, catalogue_changes, launch_response, "
        "timetable_training, timetable_serving, timetable_retraining, trained_policy "
        "were made from dataset version d1, this is d2. Run first: kedro run --pipelines "
        "sid_tokenization,simulator_training,moving_catalogue,moving_training,agent_training "
        "--env ml1m"
    )


@pytest.mark.parametrize("name", ["item_vectors", "codebook", "simulator_train", "trained_policy"])
def test_what_does_not_say_its_dataset_is_refused(name):
    message = message_of(changed(name, dataset_version=None))
    assert f"{name} does not say which dataset version it was made from" in message


def test_versions_that_earlier_releases_did_not_keep_may_be_missing():
    check_provenance({**FACTS, "items": {}, "users": {}, "item_priors": {}})
    check_provenance(changed("codebook", item_vectors_version=None))
    check_provenance(changed("trained_policy", simulator_train_version=None))


class TestVersions:
    def checkpoint(self, **config):
        return {"config": {"seed": 0, **config}, "state": {"w": np.arange(6.0).reshape(2, 3)}}

    def test_follow_content_and_not_how_it_came_about(self):
        version = checkpoint_version(self.checkpoint())
        assert checkpoint_version(self.checkpoint(settings={"n": 1}, holdout=[2])) == version
        assert checkpoint_version(self.checkpoint(seed=1)) != version
        other = self.checkpoint()
        other["state"]["w"] = other["state"]["w"] + 1e-9
        assert checkpoint_version(other) != version

    def test_are_kept_beside_the_datasets(self):
        marked = with_provenance(self.checkpoint(), "d1")
        assert marked["config"]["dataset_version"] == "d1"
        assert marked["config"]["version"] == checkpoint_version(marked)
        assert (
            marked["config"]["version"]
            != with_provenance(self.checkpoint(), "d2")["config"]["version"]
        )


def test_versions_are_read_from_every_kind_of_data():
    frame = pd.DataFrame({"item_index": [1]})
    assert provenance_of(frame) == {}
    frame.attrs["dataset_version"] = "d1"
    assert provenance_of(frame) == {"dataset_version": "d1"}
    assert provenance_of({"config": {"version": "v1"}, "state": {}}) == {"version": "v1"}
    assert provenance_of({"version": "d1", "n_items": 3})["version"] == "d1"


def test_a_codebook_says_its_own_version_and_what_new_items_make_it_serve():
    vectors = np.random.default_rng(0).normal(size=(13, 4)).astype(np.float32)
    quantizer = fit_residual_quantizer(vectors[1:], QuantizerSettings((4, 4)), seed=0)
    codebook = Codebook.build(quantizer, vectors[:11], metadata=OF_D1)
    assert provenance_of(codebook) == {**OF_D1, "version": codebook.version}
    grown = codebook.add_items(vectors[11:], {"dataset_version": "d2"})
    assert provenance_of(grown)["dataset_version"] == "d2"
    assert grown.metadata["parent_version"] == codebook.version
    assert codebook.add_items(vectors[11:]).metadata["dataset_version"] == "d1"
