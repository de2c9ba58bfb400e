"""Kedro's settings of the project."""

import os

os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MPLBACKEND", "Agg")

from hsrl_pipeline.hooks.missing_inputs_hook import MissingInputsHook
from hsrl_pipeline.hooks.parameters_hook import ParametersHook
from hsrl_pipeline.hooks.results_hook import ResultsHook
from hsrl_pipeline.hooks.stale_inputs_hook import StaleInputsHook
from hsrl_pipeline.hooks.timing_hook import TimingHook
from hsrl_pipeline.hooks.tracking_hook import TrackingHook
from hsrl_pipeline.io.project_artifacts import CONF_READING

HOOKS = (
    ResultsHook(),
    TimingHook(),
    TrackingHook(),
    StaleInputsHook(),
    MissingInputsHook(),
    ParametersHook(),
)

# Where it happens to be installed it would track every run a second time (ADR 0001).
# Kedro compares names literally, and releases spell their own name in both ways.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-mlflow", "kedro_mlflow")

CONFIG_LOADER_ARGS = CONF_READING
