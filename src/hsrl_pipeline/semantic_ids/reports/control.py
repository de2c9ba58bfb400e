"""Controls: codebooks that share everything with the real one but what they are tested for."""

from __future__ import annotations

import numpy as np

from hsrl_pipeline.seeding import numpy_generator
from hsrl_pipeline.semantic_ids.codebook import NO_CODE, Codebook


def shuffle_codes(codebook: Codebook, *, seed: int) -> Codebook:
    """Return the same semantic IDs dealt out to the items at random.

    Uniqueness, collisions, usage and prefixes stay as they are and only the meaning is gone: a
    method that does as well on it gains nothing from semantics.

    Args:
        codebook: Codebook to take the codes from. Released items stay without a code.
        seed: Seed of the permutation.
    """
    live = np.flatnonzero(codebook.codes[:, 0] != NO_CODE)
    order = numpy_generator(seed, "semantic_ids.shuffled_control").permutation(len(live))
    codes = codebook.codes.copy()
    codes[live] = codebook.codes[live[order]]
    return Codebook(
        quantizer=codebook.quantizer,
        codes=codes,
        vocab_sizes=codebook.vocab_sizes,
        collisions=codebook.collisions,
        metadata={
            **codebook.metadata,
            "parent_version": codebook.version,
            "shuffled_with_seed": seed,
        },
    )
