"""The problems of the race, a family to a file; `nalr.bench.race.catalog` lists them."""
