"""The operator against a bare client that applies the same objects, on one real control plane."""
