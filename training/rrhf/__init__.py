"""RRHF, the second stage of SFTA (paper, section 3.2.2): a fine-tuned model is aligned with a reward.

queries → responses of the fine-tuned model → calls → scores → ranking loss and cross entropy → weights
"""
