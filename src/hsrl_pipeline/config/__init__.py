"""Typed, frozen parameters: what a run may be told, with units and ranges."""
