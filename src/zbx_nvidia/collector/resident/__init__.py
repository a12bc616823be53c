"""`zbx-nvidia-agent serve`: a document that lies ready as a file, and what only a process that stays can know.

    supervisor   writes the document; never calls NVML, so it can always answer and always leave
    worker       a process that keeps NVML open: a thread a GPU that reads it, and few that look at all

The worker hands readings over by a pipe. To release the driver, or to load another one, it ends and a new one starts:
no process sees a library that was replaced under it.
"""
