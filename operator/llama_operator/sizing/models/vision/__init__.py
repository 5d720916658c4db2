"""Towers for other inputs than text, and what projects them to the text's hidden size."""
