"""From good events to the canonical tables of a dataset."""
