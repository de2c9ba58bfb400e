"""Speed and size of the system, as ratios within one run. ``make bench`` runs them all."""
