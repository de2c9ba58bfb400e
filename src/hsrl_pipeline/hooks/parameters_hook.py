"""Refuse a run whose parameters are misspelt or out of range, before any node runs."""

from __future__ import annotations

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl


class ParametersHook:
    """Validate the whole parameter tree, also where the chosen pipeline reads only a part."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Validate the parameters of the run.

        Args:
            context: The project's context with merged files and ``--params``.

        Raises:
            UserError: A parameter is unknown or its value is not allowed.
        """
        from hsrl_pipeline.config.root import validate_parameters

        # not context.params: Kedro's own check of the same types speaks in tracebacks
        validate_parameters(context.config_loader["parameters"])
