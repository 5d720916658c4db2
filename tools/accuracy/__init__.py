"""How far the memory model is from what engines reported."""
