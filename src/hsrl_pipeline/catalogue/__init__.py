"""The catalogue that moves: which items are live, what is known of each, and its versions."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.catalogue.changes import CatalogueChange as CatalogueChange
    from hsrl_pipeline.catalogue.changes import Publication as Publication
    from hsrl_pipeline.catalogue.changes import apply_change as apply_change
    from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue as LiveCatalogue
    from hsrl_pipeline.catalogue.schedule import CatalogueSchedule as CatalogueSchedule
    from hsrl_pipeline.catalogue.schedule_draw import draw_schedule as draw_schedule
    from hsrl_pipeline.catalogue.withholding import withhold as withhold
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".changes": ["CatalogueChange", "Publication", "apply_change"],
            ".live_catalogue": ["LiveCatalogue"],
            ".schedule": ["CatalogueSchedule"],
            ".schedule_draw": ["draw_schedule"],
            ".withholding": ["withhold"],
        },
    )
