"""Pure loss functions on tensors."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.losses.auxiliary import alignment_loss as alignment_loss
    from hsrl_pipeline.losses.auxiliary import gaussian_entropy as gaussian_entropy
    from hsrl_pipeline.losses.auxiliary import gaussian_log_prob as gaussian_log_prob
    from hsrl_pipeline.losses.auxiliary import representation_loss as representation_loss
    from hsrl_pipeline.losses.deterministic_pg import critics_loss as critics_loss
    from hsrl_pipeline.losses.deterministic_pg import (
        deterministic_policy_loss as deterministic_policy_loss,
    )
    from hsrl_pipeline.losses.policy_gradient import behavior_cloning_loss as behavior_cloning_loss
    from hsrl_pipeline.losses.policy_gradient import level_entropies as level_entropies
    from hsrl_pipeline.losses.policy_gradient import policy_gradient_loss as policy_gradient_loss
    from hsrl_pipeline.losses.returns import clipped_advantage as clipped_advantage
    from hsrl_pipeline.losses.returns import td_target as td_target
    from hsrl_pipeline.losses.slate_likelihood import slate_log_prob as slate_log_prob
    from hsrl_pipeline.losses.supervised import click_loss as click_loss
    from hsrl_pipeline.losses.supervised import sampled_negative_loss as sampled_negative_loss
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".auxiliary": [
                "alignment_loss",
                "gaussian_entropy",
                "gaussian_log_prob",
                "representation_loss",
            ],
            ".deterministic_pg": ["critics_loss", "deterministic_policy_loss"],
            ".policy_gradient": [
                "behavior_cloning_loss",
                "level_entropies",
                "policy_gradient_loss",
            ],
            ".returns": ["clipped_advantage", "td_target"],
            ".slate_likelihood": ["slate_log_prob"],
            ".supervised": ["click_loss", "sampled_negative_loss"],
        },
    )
