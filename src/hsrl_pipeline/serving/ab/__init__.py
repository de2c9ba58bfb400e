"""A simulated A/B test: two models behind the server, simulated users through HTTP."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.serving.ab.ab_test import run_ab_test as run_ab_test
    from hsrl_pipeline.serving.ab.assignment import arm_of as arm_of
    from hsrl_pipeline.serving.ab.catalogue_moves import CatalogueMove as CatalogueMove
    from hsrl_pipeline.serving.ab.visitors import Visitors as Visitors
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".ab_test": ["run_ab_test"],
            ".assignment": ["arm_of"],
            ".catalogue_moves": ["CatalogueMove"],
            ".visitors": ["Visitors"],
        },
    )
