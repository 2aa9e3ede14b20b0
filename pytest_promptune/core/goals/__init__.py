"""Goals of a project: what a goals file says, which metrics are meant, and whether they are reached."""
