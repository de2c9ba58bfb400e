"""From good events to the canonical tables of a dataset."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.data.tables.ingest import build_tables as build_tables
    from hsrl_pipeline.data.tables.ingest import land_log as land_log
    from hsrl_pipeline.data.tables.pair_tables import build_pair_tables as build_pair_tables
    from hsrl_pipeline.data.tables.quality import make_report as make_report
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".ingest": ["build_tables", "land_log"],
            ".pair_tables": ["build_pair_tables"],
            ".quality": ["make_report"],
        },
    )
