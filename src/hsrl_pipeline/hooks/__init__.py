"""Kedro hooks: refuse bad parameters, name what is missing or stale, track the run, show the results."""
