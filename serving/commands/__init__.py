"""Every command of ``diffagent``, and what their options share."""
