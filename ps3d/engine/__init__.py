"""The wiring: configuration, training, prediction, evaluation."""
