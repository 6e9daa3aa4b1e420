"""Split a dense model into a mixture of experts, by which of its neurons are active together."""
