"""Rollouts, metrics, intervals and the policies that do not learn."""
