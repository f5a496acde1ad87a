"""How alerts are told: what is worth telling, the queue, Discord and other channels."""
