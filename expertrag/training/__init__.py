"""Training on data sets of the BEIR layout."""
