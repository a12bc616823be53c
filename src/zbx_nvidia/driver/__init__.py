"""The only importer of pynvml: NVML's calls, their fallbacks and error classes, behind the class `Device`.

Nothing else in this package knows pynvml, its structures or its error codes. Readings leave it in base units.
"""
