"""Training of the embedding experts: pairs, hard negatives, the contrastive loop."""
