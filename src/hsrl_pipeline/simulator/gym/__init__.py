"""The sessions as Gymnasium environments, with wrappers for other action spaces."""
