"""All that serving needs of a trained project, in one file without code in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.agents.base import AgentContext, ItemScorer
from hsrl_pipeline.agents.policy_checkpoint import restore_policy
from hsrl_pipeline.catalogue.changes import Publication
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.user_features import UserEncoder

KIND = "hsrl_pipeline.served_model"


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A trained policy, the catalogue it serves and the names that its users go by.

    Attributes:
        policy: Checkpoint of the policy, as ``describe_policy`` makes it.
        name: What answers call the model.
        item_ids: (item,) The user's own ids as text, by item index; row 0 is empty.
        users: From user features by name to what the policy reads.
        launch: The tables that the policy was built with.
        catalogue: The version to serve first.
        horizon: Longest session that the policy was trained for, in steps.
        item_priors: (item,) float32 or None, see ``AgentContext``.
        shelves: (item,) int64 or None, see ``AgentContext``.
        arrivals: Vectors and semantic IDs of items that may arrive later; None for none.
    """

    policy: Mapping[str, Any]
    name: str
    item_ids: tuple[str, ...]
    users: UserEncoder
    launch: LiveCatalogue
    catalogue: LiveCatalogue
    horizon: int
    item_priors: NDArray[np.float32] | None = None
    shelves: NDArray[np.int64] | None = None
    arrivals: Publication | None = None

    @cached_property
    def item_index(self) -> dict[str, int]:
        """Item index by the user's own id."""
        return {text: index for index, text in enumerate(self.item_ids) if index}

    @property
    def history_size(self) -> int:
        """Length H of the history that the policy reads."""
        return int(self.policy["config"]["sizes"]["history_size"])

    @property
    def reads_responses(self) -> bool:
        """Whether the policy's history holds shown items with their responses."""
        return bool(self.policy["config"]["sizes"].get("history") == "responses")

    def named(self, name: str) -> ServedModel:
        """Return the same model under another name."""
        return replace(self, name=name)

    def restore(self, device: torch.device | str = "cpu") -> ItemScorer:
        """Return the policy, ready to answer under ``catalogue``.

        Args:
            device: Where it computes.

        Raises:
            UserError: The policy fits other tables.
        """
        sizes = self.policy["config"]["sizes"]
        context = AgentContext(
            n_items=sizes["n_items"],
            slate_size=sizes["slate_size"],
            history_size=sizes["history_size"],
            category_sizes=tuple(sizes["category_sizes"]),
            n_dense=sizes["n_dense"],
            horizon=self.horizon,
            item_vectors=self.launch.item_vectors,
            codes=self.launch.codes,
            vocab_sizes=tuple(sizes["vocab_sizes"]),
            device=torch.device(device),
            seed=0,
            shelves=self.shelves,
            item_priors=self.item_priors,
            history=sizes.get("history", "clicks"),
        )
        moved = "catalogue_version" in self.policy["config"]
        agent: Any = restore_policy(self.policy, context, self.catalogue if moved else None)
        agent.set_catalogue(self.catalogue)
        scorer: ItemScorer = agent
        return scorer

    def to_checkpoint(self) -> dict[str, Any]:
        """Return config and tensors for ``hsrl_pipeline.checkpoint``."""
        state: dict[str, Any] = {f"policy.{k}": v for k, v in self.policy["state"].items()}
        for part in ("launch", "catalogue"):
            tables: LiveCatalogue = getattr(self, part)
            if part == "catalogue" and tables is self.launch:
                continue
            state |= {
                f"{part}.live": tables.live,
                f"{part}.item_vectors": tables.item_vectors,
                f"{part}.codes": tables.codes,
            }
        if self.item_priors is not None:
            state["item_priors"] = self.item_priors
        if self.shelves is not None:
            state["shelves"] = self.shelves
        if self.arrivals is not None:
            state |= {f"arrivals.{k}": v for k, v in self.arrivals.to_state().items()}
        config = {
            "kind": KIND,
            "policy": dict(self.policy["config"]),
            "name": self.name,
            "item_ids": list(self.item_ids),
            "users": self.users.to_dict(),
            "horizon": self.horizon,
        }
        return {"config": config, "state": state}

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> ServedModel:
        """Return what `to_checkpoint` described.

        Raises:
            UserError: The checkpoint is something else.
        """
        config, state = checkpoint["config"], checkpoint["state"]
        if config.get("kind") != KIND:
            raise UserError(
                "The file holds no model to serve",
                remedy="Give one that `kedro register` has entered.",
            )

        def arrays(prefix: str) -> dict[str, Any]:
            found = {k: v for k, v in state.items() if k.startswith(f"{prefix}.")}
            return {k.removeprefix(f"{prefix}."): np.asarray(v) for k, v in found.items()}

        launch = LiveCatalogue(**arrays("launch"))
        moved, arrivals = arrays("catalogue"), arrays("arrivals")
        policy = {k.removeprefix("policy."): v for k, v in state.items() if k.startswith("policy.")}
        return cls(
            policy={"config": config["policy"], "state": policy},
            name=config["name"],
            item_ids=tuple(config["item_ids"]),
            users=UserEncoder.from_dict(config["users"]),
            launch=launch,
            catalogue=LiveCatalogue(**moved) if moved else launch,
            horizon=config["horizon"],
            item_priors=np.asarray(state["item_priors"]) if "item_priors" in state else None,
            shelves=np.asarray(state["shelves"]) if "shelves" in state else None,
            arrivals=Publication.from_state(arrivals) if arrivals else None,
        )


def everything_live(item_vectors: NDArray[np.float32], codes: NDArray[np.int64]) -> LiveCatalogue:
    """Return the catalogue in which all items that have a semantic ID are live.

    Args:
        item_vectors: (item, embed) float32.
        codes: (item, level) int64. -1 for padding and items without a semantic ID.
    """
    return LiveCatalogue(np.asarray((codes >= 0).all(axis=1)), item_vectors, codes)
