"""``python -m diffagent.serving``: the ``diffagent`` command, where its script is not on the path."""

from diffagent.serving.cli import main

if __name__ == "__main__":
    main()
