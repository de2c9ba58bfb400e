"""Semantic IDs: residual k-means codes, the frozen codebook and its diagnostics."""
