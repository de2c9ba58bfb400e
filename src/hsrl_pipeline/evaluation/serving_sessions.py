"""What a policy serves between two changes of the catalogue, for those that go by what they see."""

from __future__ import annotations

import math

from hsrl_pipeline.agents.follows_clicks import FollowsClicks
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.seeding import derive_seed, torch_generator
from hsrl_pipeline.simulator.response.protocol import Response
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.simulator.user_pool import UserPool

SERVED_AT_ONCE = 256
"""Sessions that go on side by side."""


class ServingSessions:
    """Sessions of training users in the training simulator, where a policy serves without updates.

    Args:
        response: The training simulator.
        pool: Training users.
        setting: Rules, sizes and device of the sessions.
        n_slates: Slates served under each version of the catalogue, rounded up to whole steps of
            all sessions.
        seed: Seed of users, clicks and draws.
    """

    def __init__(
        self,
        response: Response,
        pool: UserPool,
        setting: SessionSetting,
        *,
        n_slates: int,
        seed: int,
    ) -> None:
        self._response, self._pool, self._setting = response, pool, setting
        self._n_slates = n_slates
        self._seed = seed

    def serve(self, policy: FollowsClicks, catalogue: LiveCatalogue, change: int) -> None:
        """Let a policy draw slates under a version of the catalogue, and see their clicks.

        Args:
            policy: Knows the version already.
            catalogue: The version.
            change: Its number, 0 at launch.
        """
        batch_size = min(self._n_slates, SERVED_AT_ONCE)
        seed = derive_seed(self._seed, f"evaluation.served.{change}")
        sessions = SlateSessions(
            self._response, self._pool, self._setting, batch_size=batch_size, seed=seed
        )
        sessions.set_catalogue(catalogue)
        draws = torch_generator(seed, "evaluation.served", str(self._setting.device))
        for _ in range(math.ceil(self._n_slates / batch_size)):
            observation = sessions.observation
            slates = policy.act(observation, explore=True, generator=draws).slates
            policy.observe(observation, slates, sessions.step(slates).clicks)
