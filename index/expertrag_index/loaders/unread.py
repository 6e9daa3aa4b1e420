"""Says what to do about files of types that are not read."""

from __future__ import annotations

_OFFICE = "convert with LibreOffice: soffice --headless --convert-to {} FILE"
_PICTURE = "pictures are not read; put scans into a PDF, and use --ocr"
_ARCHIVE = "unpack into the folder"
_SOUND = "write down what is said, as .txt"
_CURES = {
    ".doc .dot .rtf .wpd .wps .pages": _OFFICE.format("docx"),
    ".ppt .pps .pot .key": _OFFICE.format("pptx"),
    ".xls .xlt .xlsb .numbers": _OFFICE.format("xlsx"),
    ".msg .pst": "save as .eml in the mail program",
    ".ics .vcf": "export as .csv",
    ".djvu .ps .eps .xps": "convert to PDF",
    ".mobi .azw .azw3 .fb2": "convert to .epub, as with Calibre",
    ".mht .mhtml": "save as .html",
    ".bmp .gif .heic .jpeg .jpg .png .svg .tif .tiff .webp .ico": _PICTURE,
    ".7z .bz2 .gz .rar .tar .tgz .xz .zip .zst": _ARCHIVE,
    ".avi .flac .m4a .mkv .mov .mp3 .mp4 .ogg .wav .webm": _SOUND,
    ".db .sqlite .sqlite3 .parquet .feather .mdb .accdb": "export the tables as .csv",
}
_CURE_OF = {suffix: cure for suffixes, cure in _CURES.items() for suffix in suffixes.split()}
_OLD_OFFICE = frozenset((".doc", ".ppt", ".xls"))
_OTHER = "if there is text in it, save as .txt, or convert to PDF or HTML"


def is_refused(suffix: str) -> bool:
    """Whether files of this type hold documents for certain, so that leaving them out is a loss."""
    return suffix in _OLD_OFFICE


def cure_of(suffix: str) -> str:
    """Return how to make files of an unread type readable."""
    return _CURE_OF.get(suffix, _OTHER)


def kind_of(suffix: str) -> str:
    """Describe files of an unread type."""
    if is_refused(suffix):
        return f"of the format {suffix} of Office before 2007"
    return f"of unknown type {suffix}" if suffix else "without a suffix"
