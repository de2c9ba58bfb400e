"""Readers of raw logs, one module per source, and what a reader hands over."""
