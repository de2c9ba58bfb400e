"""Serving: a trained policy behind requests in the user's own ids, while the catalogue moves."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.serving.app import create_app as create_app
    from hsrl_pipeline.serving.recommender import Recommendation as Recommendation
    from hsrl_pipeline.serving.recommender import Recommender as Recommender
    from hsrl_pipeline.serving.request_errors import RequestError as RequestError
    from hsrl_pipeline.serving.requests import RecommendRequest as RecommendRequest
    from hsrl_pipeline.serving.served_model import ServedModel as ServedModel
    from hsrl_pipeline.serving.user_features import UserEncoder as UserEncoder
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".app": ["create_app"],
            ".recommender": ["Recommendation", "Recommender"],
            ".request_errors": ["RequestError"],
            ".requests": ["RecommendRequest"],
            ".served_model": ["ServedModel"],
            ".user_features": ["UserEncoder"],
        },
    )
