"""The experts on a GPU, in Triton: four launches, none of which waits for the host."""
