"""The same instance keeps its number through a sequence."""
