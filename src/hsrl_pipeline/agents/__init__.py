"""Policies that learn, behind one protocol."""
