"""The run store: finished cells of every run in one SQLite file, and questions to it.

What is in here keeps and shows measurements and cannot change one, so that
`diffkit.measure.cells.measuring_code` leaves it out.
"""
