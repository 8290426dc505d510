"""Where the jobs of a plan are done: in this process, in several, or on a cluster."""
