"""Other libraries as backends: each reads the same traced graph, one file each."""
