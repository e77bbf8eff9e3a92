"""The node library: one short file per family of declarations, their torch code in `ops`.

A declaration imports nothing but `nodegraph.node`. The modules of `ops` need torch (and what their
data needs) but nothing of nodegraph, so that an exported script can carry them whole.
"""
