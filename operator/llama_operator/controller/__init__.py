"""The operator process: handlers, queue, leadership, metrics, health, logs."""
