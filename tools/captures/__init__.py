"""Tables of engines' command lines, read from the source in their published wheels."""
