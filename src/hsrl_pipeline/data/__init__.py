"""Raw logs to one canonical, validated, memory-lean representation."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.data.dataset_info import CategoryField as CategoryField
    from hsrl_pipeline.data.dataset_info import DatasetInfo as DatasetInfo
    from hsrl_pipeline.data.feature_tables import ItemTable as ItemTable
    from hsrl_pipeline.data.feature_tables import UserTable as UserTable
    from hsrl_pipeline.data.schemas import validate_frame as validate_frame
    from hsrl_pipeline.data.slate_log import SlateLog as SlateLog
    from hsrl_pipeline.data.synthetic_truth import SyntheticTruth as SyntheticTruth
    from hsrl_pipeline.data.synthetic_truth import (
        true_click_probabilities as true_click_probabilities,
    )
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".dataset_info": ["CategoryField", "DatasetInfo"],
            ".feature_tables": ["ItemTable", "UserTable"],
            ".schemas": ["validate_frame"],
            ".slate_log": ["SlateLog"],
            ".synthetic_truth": ["SyntheticTruth", "true_click_probabilities"],
        },
    )
