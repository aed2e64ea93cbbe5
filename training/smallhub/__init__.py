"""The small hub: text-to-image models, scorers and prompts that are real and small enough for two cores.

On it the whole of SFTA runs with images: pictures → models → scorers → catalog and pairs → SFT → candidates →
images → scores → RRHF → Tables 1 and 2 (:mod:`diffagent.training.smallhub.story`).
"""
