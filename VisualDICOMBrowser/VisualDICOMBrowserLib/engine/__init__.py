"""The engine: the facade over network, jobs and store, and the process that hosts it."""
