"""The pipelines, five of the whole chain and the agent search: thin nodes over the library."""
