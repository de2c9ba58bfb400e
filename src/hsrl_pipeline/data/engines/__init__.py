"""Where expressions over events run, DuckDB or Spark, and how text files reach them."""
