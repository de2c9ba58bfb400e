"""What is reported of a codebook: diagnostics, comparison with other codes, examples, plots."""
