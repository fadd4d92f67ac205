"""The methods of the race: schedules, peers from their own packages, and nalr; all listed in `roster`."""
