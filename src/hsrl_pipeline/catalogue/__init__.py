"""The catalogue that moves: which items are live, what is known of each, and its versions."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue as LiveCatalogue
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__, {".live_catalogue": ["LiveCatalogue"]})
