"""Files that are whole or not there, under a key of their content.

Everything the course can make again lies in one cache folder. Processes that share it never see
half a file, and a full disk or a killed process leaves nothing that looks finished.
"""

from cvlab.cache.disk import cache_root, enough_space, readable_bytes
from cvlab.cache.downloads import download, linked
from cvlab.cache.errors import DatasetError, DownloadError, SpaceError
from cvlab.cache.folders import files_in, locked, made, record_of
from cvlab.cache.keys import digests_of_array, key_of, sha256_of
from cvlab.cache.progress import progress_bar
from cvlab.cache.threads import in_threads

__all__ = [
    "DatasetError",
    "DownloadError",
    "SpaceError",
    "cache_root",
    "digests_of_array",
    "download",
    "enough_space",
    "files_in",
    "in_threads",
    "key_of",
    "linked",
    "locked",
    "made",
    "progress_bar",
    "readable_bytes",
    "record_of",
    "sha256_of",
]
