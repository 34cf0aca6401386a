"""The data plane's signed HTTP, over libcurl: many small requests for a tenth of an SDK's processor time."""
