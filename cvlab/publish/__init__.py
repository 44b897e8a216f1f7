"""The command line: execute, report, slides, student copies, record.

No notebook imports anything from here; `python -m cvlab` calls it.
"""
