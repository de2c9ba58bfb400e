"""Events of a log: which rows are good, and the partitions they are kept in."""
