"""Decisions: desired against observed, to actions and a status. Pure."""
