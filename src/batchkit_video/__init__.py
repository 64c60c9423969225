"""The command line's entry point, and the check that ``batchkit`` is really ours."""
