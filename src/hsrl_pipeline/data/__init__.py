"""Raw logs to typed, canonical tables and the lean training form."""
