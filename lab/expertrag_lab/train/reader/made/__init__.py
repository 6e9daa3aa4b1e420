"""Generate questions with answers from a store's documents, if no data set is available."""
