"""``nalr bench estimators``: bias and coverage by simulation, against truths that are known exactly."""
