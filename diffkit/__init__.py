"""diffkit: trace a program once, differentiate it three ways, measure what each costs."""

__version__ = "0.1.0"
