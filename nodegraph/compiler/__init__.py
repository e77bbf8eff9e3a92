"""From a graph to PyTorch: a plan of each stage, its Python source, the module made from it."""
