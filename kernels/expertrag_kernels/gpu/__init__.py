"""The experts on a GPU, in Triton: four kernel launches, without synchronising with the host."""
