"""What the project talks about: patients, studies, series, filters, servers, errors.

Standard library only. Everything else may import this package; it imports nothing of the project.
"""
