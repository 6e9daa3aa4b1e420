"""Training of the domain experts: pairs, hard negatives, the contrastive loop."""
