"""Kedro datasets of the project; every write is atomic."""
