"""Raw logs to one canonical, validated, memory-lean representation."""
