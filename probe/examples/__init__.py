"""Which texts are read, in which batches, for which matrices: all that ranks are asked to do."""
