"""The five pipelines: thin nodes over the library."""
