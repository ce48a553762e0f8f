"""The container engine, through Docker's API: Docker, Docker Desktop, rootless, podman's service.

Nothing here imports the SDK before an engine is asked for: it costs 0.1 s of CPU.
"""
