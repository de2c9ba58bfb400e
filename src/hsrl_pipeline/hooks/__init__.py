"""Kedro hooks: refuse bad parameters and stale or missing data, track the run, show results."""
