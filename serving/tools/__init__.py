"""The tools of LangChain and MCP: arguments, answers, errors."""
