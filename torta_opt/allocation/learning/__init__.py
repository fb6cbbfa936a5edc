"""Learning: environments over instances, training, comparison of policies."""
