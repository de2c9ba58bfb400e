"""Kedro hooks: refuse bad parameters, name what is missing, track the run, show the results."""
