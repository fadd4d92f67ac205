"""``nalr bench training``: what measuring adds to a real training step, beside others that measure."""
