"""Neural modules: they take sizes, cache no device and own no optimiser or loss."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.networks.actors import DirectionActor as DirectionActor
    from hsrl_pipeline.networks.actors import GaussianActor as GaussianActor
    from hsrl_pipeline.networks.actors import HyperActor as HyperActor
    from hsrl_pipeline.networks.actors import ItemActor as ItemActor
    from hsrl_pipeline.networks.critics import ActionValues as ActionValues
    from hsrl_pipeline.networks.critics import StateValue as StateValue
    from hsrl_pipeline.networks.hierarchical_policy import HierarchicalPolicy as HierarchicalPolicy
    from hsrl_pipeline.networks.multi_level_critic import MultiLevelCritic as MultiLevelCritic
    from hsrl_pipeline.networks.prefix_critic import PrefixCritic as PrefixCritic
    from hsrl_pipeline.networks.semantic_items import SemanticItems as SemanticItems
    from hsrl_pipeline.networks.state_encoder import StateEncoder as StateEncoder
    from hsrl_pipeline.networks.trie_policy import TriePolicy as TriePolicy
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".actors": ["DirectionActor", "GaussianActor", "HyperActor", "ItemActor"],
            ".critics": ["ActionValues", "StateValue"],
            ".hierarchical_policy": ["HierarchicalPolicy"],
            ".multi_level_critic": ["MultiLevelCritic"],
            ".prefix_critic": ["PrefixCritic"],
            ".semantic_items": ["SemanticItems"],
            ".state_encoder": ["StateEncoder"],
            ".trie_policy": ["TriePolicy"],
        },
    )
