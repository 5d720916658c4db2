"""Serving engines: arguments, environment, probes, graceful end."""
