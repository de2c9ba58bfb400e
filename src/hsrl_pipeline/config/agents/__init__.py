"""Settings and search space of each agent, one module per agent; no agent is imported here."""
