"""Refuse a run whose parameters are misspelt or out of range, before any node runs."""

from __future__ import annotations

from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from hsrl_pipeline.errors import UserError


class ParametersHook:
    """Validate the whole parameter tree, also where the chosen pipeline reads only a part."""

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
        path = Path(context.config_loader["catalog"]["trained_policy"]["filepath"])
        own = f"{tree.agent.shown_name}-seed{tree.seed}"
        if "-seed" in path.parent.name and path.parent.name != own:
            raise UserError(
                f"the run is {own}, but its files would be named {path.parent.name}",
                where="seed, agent.name, agent.label",
                remedy="Set seed and agent_name in globals.yml, or seed, agent.name and agent.label"
                " by --params, label only to give one: parameters.yml does not name files.",
            )
