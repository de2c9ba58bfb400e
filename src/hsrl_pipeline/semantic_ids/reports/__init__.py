"""What is reported of a codebook: diagnostics, comparison with other codes, examples, plots."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.semantic_ids.reports.comparison import compare_codebooks as compare_codebooks
    from hsrl_pipeline.semantic_ids.reports.control import shuffle_codes as shuffle_codes
    from hsrl_pipeline.semantic_ids.reports.diagnostics import diagnose as diagnose
    from hsrl_pipeline.semantic_ids.reports.diagnostics import flat_metrics as flat_metrics
    from hsrl_pipeline.semantic_ids.reports.examples import (
        list_prefix_examples as list_prefix_examples,
    )
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".comparison": ["compare_codebooks"],
            ".control": ["shuffle_codes"],
            ".diagnostics": ["diagnose", "flat_metrics"],
            ".examples": ["list_prefix_examples"],
        },
    )
