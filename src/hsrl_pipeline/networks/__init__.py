"""Neural modules: they take sizes, cache no device and own no optimiser or loss."""
