"""``sl``: a click model on logged slates, greedy on its scores.

References:
    Kang and McAuley 2018, "Self-Attentive Sequential Recommendation" (SASRec). The HSRL paper
    (section 4.1.3) trains it on historical logs; here on the shown slates with their clicks and
    non-clicks, which ranks far better than the clicks alone would.
"""

from __future__ import annotations

import torch

from hsrl_pipeline.agents.base import Action, AgentContext, LogBatch, UpdateStats
from hsrl_pipeline.agents.encoding import build_state_encoder
from hsrl_pipeline.agents.torch_agent import TorchAgent
from hsrl_pipeline.config.agents.sl import SupervisedSettings
from hsrl_pipeline.losses.supervised import click_loss, sampled_negative_loss
from hsrl_pipeline.networks.actors import ItemActor
from hsrl_pipeline.networks.catalogue_tables import CatalogueTables, WrittenRows
from hsrl_pipeline.observation import Observation


class SupervisedAgent(TorchAgent[SupervisedSettings]):
    """SASRec trained with binary cross-entropy on the raw click logits of logged slates.

    Args:
        settings: Settings of the agent.
        context: Sizes, item tables, device and seed.
    """

    def __init__(self, settings: SupervisedSettings, context: AgentContext) -> None:
        self._actor = ItemActor(build_state_encoder(settings.encoder, context))
        super().__init__(
            "sl",
            settings,
            context,
            policy=self._actor,
            log_batch_size=settings.log_batch_size,
        )
        self.early_stopping = settings.early_stopping
        self._live_items = torch.arange(1, context.n_items + 1, device=context.device)
        self._add_optimizer(
            "policy", self._actor.parameters(), settings.learning_rate, settings.weight_decay
        )

    @torch.no_grad()
    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Return the items most likely to be clicked; exploring draws by the click logits."""
        scores = observation.mask_shown(self._actor(observation))
        if explore:
            slates, log_prob = self._selector.sample(scores, generator)
        else:
            slates = self._selector.greedy(scores)
            log_prob = scores.new_zeros(slates.shape[0])
        return Action(slates, self._no_latent(slates), log_prob)

    @torch.no_grad()
    def item_scores(self, observation: Observation) -> torch.Tensor:
        """Return the scores of all items; see ``ItemScorer``."""
        return self._actor.score_all(self._actor.encoder(observation))

    @torch.no_grad()
    def scores_of(self, observation: Observation, items: torch.Tensor) -> torch.Tensor:
        """Return the scores of given items; see ``ItemScorer``."""
        return self._actor.score_slates(self._actor.encoder(observation), items)

    def _take_catalogue(self, tables: CatalogueTables) -> list[WrittenRows]:
        """Draw negatives from the live items."""
        self._live_items = tables.live.nonzero()[:, 0]
        return []

    def _learn_from_log(self, log: LogBatch) -> UpdateStats:
        """Take one gradient step on logged slates.

        One random item per slate counts as a fraction of an exposure without click, SASRec's
        sampled negative: items that were hardly ever shown would otherwise win by chance.
        """
        with self._updating() as generator:
            states = self._actor.encoder(log.observation)
            drawn = torch.randint(
                len(self._live_items),
                (len(log.slates), 1),
                generator=generator,
                device=self._device,
            )
            items = torch.cat([log.slates, self._live_items[drawn]], dim=1)
            logits = self._actor.score_slates(states, items)
        loss = click_loss(logits[:, :-1].float(), log.clicks, log.slates)
        negative = sampled_negative_loss(logits[:, -1].float(), log.slates.shape[1])
        loss = loss + self._settings.doubt_coef * negative
        loss.backward()  # type: ignore[no-untyped-call]
        norm = self._step("policy")
        return UpdateStats({"click_loss": loss.detach()}, {"gradient_norm_actor": norm})

    @torch.no_grad()
    def held_out_loss(self, log: LogBatch) -> torch.Tensor:
        """Return the click loss of slates that are not learned from: 0-dim float32."""
        logits = self._actor.score_slates(self._actor.encoder(log.observation), log.slates)
        return click_loss(logits.float(), log.clicks, log.slates)


def build_sl(settings: SupervisedSettings, context: AgentContext) -> SupervisedAgent:
    """Return an untrained ``sl`` agent."""
    return SupervisedAgent(settings, context)
