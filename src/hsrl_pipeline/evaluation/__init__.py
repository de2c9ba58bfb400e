"""Rollouts, metrics, intervals and the policies that do not learn."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.evaluation.bootstrap import bootstrap_intervals as bootstrap_intervals
    from hsrl_pipeline.evaluation.comparison import paired_differences as paired_differences
    from hsrl_pipeline.evaluation.comparison import train_eval_gap as train_eval_gap
    from hsrl_pipeline.evaluation.confidence_sequence import difference_terms as difference_terms
    from hsrl_pipeline.evaluation.confidence_sequence import (
        sequential_intervals as sequential_intervals,
    )
    from hsrl_pipeline.evaluation.off_policy import LoggedChoices as LoggedChoices
    from hsrl_pipeline.evaluation.off_policy import estimate_click_rate as estimate_click_rate
    from hsrl_pipeline.evaluation.policy_evaluation import evaluate_agent as evaluate_agent
    from hsrl_pipeline.evaluation.ranking_metrics import recall_and_ndcg as recall_and_ndcg
    from hsrl_pipeline.evaluation.references import GreedyPolicy as GreedyPolicy
    from hsrl_pipeline.evaluation.references import RandomPolicy as RandomPolicy
    from hsrl_pipeline.evaluation.references import fit_static_slate as fit_static_slate
    from hsrl_pipeline.evaluation.references import popularity_policy as popularity_policy
    from hsrl_pipeline.evaluation.rollouts import EvaluationSetting as EvaluationSetting
    from hsrl_pipeline.evaluation.rollouts import evaluate_policy as evaluate_policy
    from hsrl_pipeline.evaluation.session_records import SessionRecords as SessionRecords
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".bootstrap": ["bootstrap_intervals"],
            ".comparison": ["paired_differences", "train_eval_gap"],
            ".confidence_sequence": ["difference_terms", "sequential_intervals"],
            ".off_policy": ["LoggedChoices", "estimate_click_rate"],
            ".policy_evaluation": ["evaluate_agent"],
            ".ranking_metrics": ["recall_and_ndcg"],
            ".references": [
                "GreedyPolicy",
                "RandomPolicy",
                "fit_static_slate",
                "popularity_policy",
            ],
            ".rollouts": ["EvaluationSetting", "evaluate_policy"],
            ".session_records": ["SessionRecords"],
        },
    )
