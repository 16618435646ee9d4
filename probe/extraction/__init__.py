"""From batches of texts to averaged correlations: the loop, its sums, memory and checkpoints."""
