"""The methods of the race: schedules, peers from their own packages, published rules, nalr; see `roster`."""
