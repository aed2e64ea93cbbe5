"""What is asked for: the request, its wishes, its exclusions, its reading, later edits."""
