"""Pictures, videos and windows of labeled points and images."""
