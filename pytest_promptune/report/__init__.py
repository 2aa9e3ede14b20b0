"""What a session leaves behind for people and machines: texts made from a view, written by others."""
