"""The cluster: requests, watches, projected nodes, applying."""
