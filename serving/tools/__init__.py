"""What other programs may ask of the agent: arguments, answers, errors; the same for LangChain and MCP."""
