"""MLflow, and nothing else of the project touches it: store, run, live metrics."""
