"""Voice processes that share one port: the parent's side, a worker's, and what goes between."""
