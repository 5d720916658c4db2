"""From a plan to checked Kubernetes objects. Pure: same input, same bytes."""
