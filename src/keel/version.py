"""The version of keel, here and nowhere else."""

__version__ = "0.1.0"
