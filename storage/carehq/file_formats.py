"""What a file is that holds no JSON in UTF-8, told by how it begins, and what to do with it."""

import re

LENGTH = 16

_UNPACK = "the file is compressed ({}): unpack it first"
_CONVERT = "the file is {0}, not UTF-8: convert it first, as with `iconv -f {0} -t UTF-8`"

_FORMATS = (
    (rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff|[^\x00]\x00\x00\x00|\x00\x00\x00[^\x00]", _CONVERT.format("UTF-32")),
    (rb"\xff\xfe|\xfe\xff", _CONVERT.format("UTF-16")),
    (rb"[^\x00]\x00", _CONVERT.format("UTF-16LE")),
    (rb"\x00[^\x00]", _CONVERT.format("UTF-16BE")),
    (rb"\x1f\x8b", _UNPACK.format("gzip")),
    (rb"\x28\xb5\x2f\xfd", _UNPACK.format("zstd")),
    (rb"BZh", _UNPACK.format("bzip2")),
    (rb"\xfd7zXZ", _UNPACK.format("xz")),
    (rb"PK\x03\x04", "the file is an archive or a spreadsheet: unpack it first, or save it as JSON"),
    (rb"SQLite format 3", "the file is a database: put a backup back with the command restore"),
    (rb"(?:\xef\xbb\xbf)?\s*<", "the file is XML or HTML: save it as JSON"),
    (rb"""(?:\xef\xbb\xbf)?(["']?)_id\1\s*[,;\t]""", "the file is a table (CSV): save it as JSON"),
)


def foreign(beginning: bytes) -> str | None:
    """Return what is wrong with a file that begins so; None where it may hold JSON."""
    return next((problem for pattern, problem in _FORMATS if re.match(pattern, beginning, re.DOTALL)), None)
