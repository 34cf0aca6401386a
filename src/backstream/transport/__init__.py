"""The data plane's signed HTTP, over libcurl: many small requests at a tenth of what an SDK takes of the processor."""
