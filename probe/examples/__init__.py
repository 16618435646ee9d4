"""Which texts are read, in which batches, for which matrices: the request to the ranks."""
