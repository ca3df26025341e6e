"""Self-supervised objectives, each a module with a loss."""
