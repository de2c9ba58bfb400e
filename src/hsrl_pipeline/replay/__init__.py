"""Stored transitions."""
