"""Say which pipeline to run first when a run starts from data that is not there."""

from __future__ import annotations

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.hooks.run_options import typed_options
from hsrl_pipeline.pipeline_registry import MAKERS


class MissingInputsHook:
    """Check that everything the run starts from was persisted by an earlier one."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Refuse the run if an input is missing.

        Args:
            run_params: How the run was asked for; names the environment.
            pipeline: The nodes to run.
            catalog: Where their inputs are looked up.

        Raises:
            UserError: An input is missing; names it and the pipeline that makes it.
        """
        missing = [
            name
            for name in sorted(pipeline.inputs())
            if not name.startswith(("params:", "parameters")) and not catalog.exists(name)
        ]
        if not missing:
            return
        makers = {output: maker for maker in MAKERS for output in _outputs(maker)}
        needed = {makers[name] for name in missing if name in makers}
        first = next((name for name in MAKERS if name in needed), None)
        raise UserError(
            f"the run needs {', '.join(missing)}, which no earlier run has made",
            where=", ".join(str(_path(catalog, name)) for name in missing),
            remedy=f"Run first: kedro run --pipeline {first}{typed_options(run_params)}"
            if first
            else None,
        )


def _outputs(pipeline_name: str) -> set[str]:
    return set(pipelines[pipeline_name].all_outputs())


def _path(catalog: DataCatalog, name: str) -> Any:
    dataset = catalog.get(name)
    return getattr(dataset, "_filepath", name)
