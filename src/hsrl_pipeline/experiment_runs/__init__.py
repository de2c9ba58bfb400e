"""Experiments on this project: its pipelines as the steps of a grid, one Kedro session each."""
