"""Refuse a run whose parameters are misspelt or out of range, before any node runs."""

from __future__ import annotations

from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from hsrl_pipeline.config.catalogue import CatalogueConfig
from hsrl_pipeline.errors import UserError


class ParametersHook:
    """Validate the whole parameter tree, also where the chosen pipeline reads only a part."""

    def __init__(self) -> None:
        self._regime = self._policy_regime = "repeats"
        self._catalogue = CatalogueConfig()
        self._label: str | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Validate the parameters of the run.

        Args:
            context: The project's context with merged files and ``--params``.

        Raises:
            UserError: A parameter is unknown or its value is not allowed, or the files of the run
                would not be named by its agent and seed.
        """
        from hsrl_pipeline.config.root import validate_parameters

        # not context.params: Kedro's own check of the same types speaks in tracebacks
        tree = validate_parameters(context.config_loader["parameters"])
        catalog = context.config_loader["catalog"]  # read anew each time it is asked for
        path = Path(catalog["trained_policy"]["filepath"])
        own = f"{tree.agent.shown_name}-seed{tree.seed}"
        if "-seed" in path.parent.name and path.parent.name != own:
            raise UserError(
                f"the run is {own}, but its files would be named {path.parent.name}",
                where="seed, agent.name, agent.label",
                remedy="Set seed and agent_name in globals.yml, or seed, agent.name and agent.label"
                " by --params, label only to give one: parameters.yml does not name files.",
            )
        self._regime = tree.candidates.regime
        self._catalogue, self._label = tree.catalogue, tree.agent.label
        self._policy_regime = tree.evaluation.policy_regime or self._regime
        history = Path(catalog["training_history"]["filepath"])
        folder = history.parent.parent.name
        if "agents" in history.parts and (folder == "no_repeats") != (self._regime == "no_repeats"):
            raise UserError(
                f"the regime of the run is {self._regime}, but its files would lie in {folder}/",
                where="candidates.exclude_shown, candidates.frequency_cap",
                remedy="Set exclude_shown in globals.yml, or candidates.exclude_shown or "
                "candidates.frequency_cap by --params: parameters.yml does not name files.",
            )

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Refuse to train in one regime and judge a policy of the other in the same run.

        Raises:
            UserError: The trained policy would take the place of another regime's or variant's, or
                the catalogue is to move and the pipeline does not know it.
        """
        if self._catalogue.schedule == "moving" and "trained_policy" in pipeline.datasets():
            raise UserError(
                "the catalogue is to move, but these pipelines have all items live all the time",
                where="catalogue.schedule",
                remedy="Give catalogue.schedule=moving by --params without --pipeline, or run "
                "--pipeline moving: parameters.yml does not choose pipelines.",
            )
        shuffled = self._catalogue.codes == "shuffled" and self._label is None
        if shuffled and "timetable_serving" in pipeline.datasets():
            raise UserError(
                "a run with shuffled codes would take the place of the one with published codes",
                where="catalogue.codes",
                remedy="Name it: --params catalogue.codes=shuffled,agent.label=hsrl_shuffled",
            )
        if "trained_policy" in pipeline.all_outputs() and self._policy_regime != self._regime:
            raise UserError(
                f"a run that trains in the regime {self._regime} cannot judge a policy of the "
                f"regime {self._policy_regime}",
                where="evaluation.policy_regime",
                remedy="Leave it out, or run offline_eval alone: kedro run --pipeline offline_eval",
            )
