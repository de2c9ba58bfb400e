"""Where expressions over events run, DuckDB or Spark, and how text files reach them."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.data.engines.engine import Engine as Engine
    from hsrl_pipeline.data.engines.open import open_engine as open_engine
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".engine": ["Engine"],
            ".open": ["open_engine"],
        },
    )
