"""PyTorch code of the nodes that torch itself has no callable for."""
