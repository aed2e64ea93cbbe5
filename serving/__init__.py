"""The command line, the servers and the tools that host the agent."""
