"""The window. It draws a session and feeds it gestures; it holds no truth and loads no torch."""
