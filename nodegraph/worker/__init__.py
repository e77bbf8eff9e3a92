"""The program that computes for the editor, in a process of its own that may crash."""
