"""The zoo of public architectures: tiny random instances of them, and a sweep of the analysis over all."""
