"""The HTTP server: requests → one bounded queue → the agent → calls, chat completions, images.

from diffagent.serving.server.app import create_app
app = create_app(Agent.load())          # ASGI; `diffagent serve` runs it with uvicorn
"""
