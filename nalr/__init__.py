"""nalr: the learning rate that measures before it moves."""
__version__ = "0.1.0"
