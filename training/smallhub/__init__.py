"""The small hub: real text-to-image models, scorers and prompts that are small enough for two cores.

All of SFTA runs on it with images: pictures → models → scorers → catalog and pairs → SFT → candidates →
images → scores → RRHF → Tables 1 and 2 (:mod:`diffagent.training.smallhub.story`).
"""
