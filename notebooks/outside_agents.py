"""Train PPO and TD3 of Stable-Baselines3, as they come, and log their learning curves.

Run from the project's root after ``kedro run``:

    python notebooks/outside_agents.py --dataset synthetic --steps 20000
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3 import PPO, TD3
from stable_baselines3.common.noise import NormalActionNoise

import hsrl_pipeline  # noqa: F401  registers the environment

ID = "hsrl_pipeline/SlateRec-v0"
POINTS = 8
N_SESSIONS = 500

logger = logging.getLogger("outside_agents")


def total_reward(options: dict[str, Any], act: Callable[[Any, Any], Any]) -> float:
    """Return the mean total reward of whole sessions on the evaluation simulator.

    Args:
        options: What the environment is made with.
        act: From observations and action space to actions.
    """
    envs = gymnasium.make_vec(
        ID,
        num_envs=N_SESSIONS,
        vectorization_mode="vector_entry_point",
        **(options | {"simulator": "eval"}),
    )
    envs.action_space.seed(0)
    observations, _ = envs.reset(seed=0)
    total, running = np.zeros(N_SESSIONS), np.ones(N_SESSIONS, dtype=bool)
    while running.any():
        actions = act(observations, envs.action_space)
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        total += rewards * running
        running &= ~(terminated | truncated)
    return float(total.mean())


def learning_curve(name: str, steps: int, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Train an agent and return its total reward at several points.

    Args:
        name: ``ppo`` on semantic tokens or ``td3`` on hyper-actions.
        steps: Environment steps in all.
        options: What the environment is made with.
    """
    options = options | {"actions": "tokens" if name == "ppo" else "vector"}
    env = gymnasium.make(ID, **options)
    if name == "ppo":
        agent: Any = PPO("MlpPolicy", env, n_steps=512, batch_size=128, seed=0, device="cpu")
    else:
        width = env.action_space.shape[0]
        noise = NormalActionNoise(np.zeros(width), np.full(width, 0.3))
        agent = TD3("MlpPolicy", env, action_noise=noise, gamma=0.9, seed=0, device="cpu")
    random = total_reward(options, lambda _, space: space.sample())
    rows = [{"agent": f"random for {name}", "steps": 0, "total_reward": random}]
    for point in range(POINTS + 1):
        if point:
            agent.learn(steps // POINTS, reset_num_timesteps=False)
        reward = total_reward(
            options, lambda observations, _: agent.predict(observations, deterministic=True)[0]
        )
        rows.append({"agent": name, "steps": agent.num_timesteps, "total_reward": reward})
        logger.info(
            "%s after %d steps: %.3f (random %.3f)", name, rows[-1]["steps"], reward, random
        )
    return rows


def main() -> None:
    """Train both agents and write their curves beside the dataset's other reports."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", default=".")
    parser.add_argument("--dataset", default="synthetic")
    parser.add_argument("--steps", type=int, default=20_000)
    arguments = parser.parse_args()
    options = {
        "project": arguments.project,
        "dataset": arguments.dataset,
        "observations": "features",
    }
    rows = []
    for name in ("ppo", "td3"):
        rows += learning_curve(name, arguments.steps, options)
    folder = Path(arguments.project) / "data/08_reporting" / arguments.dataset
    with (folder / "outside_agents.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
