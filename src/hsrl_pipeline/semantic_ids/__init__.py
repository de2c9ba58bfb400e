"""Semantic IDs: residual k-means codes, the frozen codebook and its diagnostics."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.semantic_ids.code_trie import CodeTrie as CodeTrie
    from hsrl_pipeline.semantic_ids.codebook import Codebook as Codebook
    from hsrl_pipeline.semantic_ids.codebook_file import read_codebook as read_codebook
    from hsrl_pipeline.semantic_ids.codebook_file import write_codebook as write_codebook
    from hsrl_pipeline.semantic_ids.item_facts import FactColumns as FactColumns
    from hsrl_pipeline.semantic_ids.item_vectorizer import ItemVectorizer as ItemVectorizer
    from hsrl_pipeline.semantic_ids.item_vectors import build_item_vectors as build_item_vectors
    from hsrl_pipeline.semantic_ids.item_vectors import fit_item_vectors as fit_item_vectors
    from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer as ResidualQuantizer
    from hsrl_pipeline.semantic_ids.residual_quantizer import (
        fit_residual_quantizer as fit_residual_quantizer,
    )
    from hsrl_pipeline.semantic_ids.tokenization import tokenize as tokenize
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".code_trie": ["CodeTrie"],
            ".codebook": ["Codebook"],
            ".codebook_file": ["read_codebook", "write_codebook"],
            ".item_facts": ["FactColumns"],
            ".item_vectorizer": ["ItemVectorizer"],
            ".item_vectors": ["build_item_vectors", "fit_item_vectors"],
            ".residual_quantizer": ["ResidualQuantizer", "fit_residual_quantizer"],
            ".tokenization": ["tokenize"],
        },
    )
