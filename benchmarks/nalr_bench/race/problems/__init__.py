"""The problems of the race, a family to a file; `nalr_bench.race.problems.catalog` lists them."""
