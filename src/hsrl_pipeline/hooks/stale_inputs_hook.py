"""Refuse a run on data that was made from something else than what is there now."""

from __future__ import annotations

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from hsrl_pipeline.hooks.run_options import typed_options
from hsrl_pipeline.io.provenance_on_disk import provenance_on_disk
from hsrl_pipeline.provenance import KNOWN, check_provenance, provenance_of


class StaleInputsHook:
    """Compare the versions that inputs carry: before the run, and again before each node.

    What the run starts from is compared before anything is run. What it makes itself can only be
    compared with the rest when a node has loaded both.
    """

    def __init__(self) -> None:
        self._options = ""

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Refuse the run if what it starts from does not belong together.

        Args:
            run_params: How the run was asked for; its options are part of the remedy.
            pipeline: The nodes to run.
            catalog: Where their inputs are looked up.

        Raises:
            UserError: An input is stale; names all such and the pipelines to run first.
        """
        self._options = typed_options(run_params)
        # a single node may not ask for the dataset's version, but its inputs must be of it
        names = (pipeline.inputs() | {"dataset_info"}) - pipeline.all_outputs()
        datasets = {name: catalog.get(name) for name in names & KNOWN if name in catalog}
        facts = {
            name: provenance_on_disk(dataset)
            for name, dataset in datasets.items()
            if dataset is not None and dataset.exists()
        }
        check_provenance(facts, self._options)

    @hook_impl
    def before_node_run(self, inputs: dict[str, Any]) -> None:
        """Refuse the node if what it was given does not belong together.

        Args:
            inputs: Loaded data by catalog name.

        Raises:
            UserError: An input is stale; names all such and the pipelines to run first.
        """
        facts = {name: provenance_of(data) for name, data in inputs.items() if name in KNOWN}
        check_provenance(facts, self._options)
