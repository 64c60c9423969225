"""Ways to watch a batch: in a terminal, in a notebook."""
