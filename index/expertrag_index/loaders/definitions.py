"""Languages of source code by suffix, and the lines on which their definitions begin."""

from __future__ import annotations

import re
from functools import cache

LANGUAGES = {
    ".bash": "bash", ".c": "c", ".cc": "cpp", ".cfg": "ini", ".cjs": "javascript", ".conf": "ini",
    ".cpp": "cpp", ".cs": "csharp", ".cu": "cpp", ".go": "go", ".h": "c", ".hpp": "cpp",
    ".ini": "ini", ".java": "java", ".js": "javascript", ".jsx": "javascript", ".kt": "kotlin",
    ".lua": "lua", ".mjs": "javascript", ".php": "php", ".pl": "perl", ".po": "po",
    ".proto": "proto", ".ps1": "powershell", ".py": "python", ".pyi": "python", ".r": "r",
    ".rb": "ruby", ".rs": "rust", ".scala": "scala", ".sh": "bash", ".sql": "sql",
    ".swift": "swift", ".toml": "toml", ".ts": "typescript", ".tsx": "typescript", ".yaml": "yaml",
    ".yml": "yaml",
}  # fmt: skip
"""Names of languages as they are written after the fence of a code block."""

_AT_MARGIN = r"(?: {2}| {4}|\t)?"  # or one level deeper
_WORDS = r"(?:[a-z]\w*(?:\([^()\n]*\))?[^\S\n]+){0,5}"  # public static, pub(crate), export default
_C_FUNCTION = r"(?!return\b|else\b|typedef\b)[A-Za-z_][\w:<>,*&~\[\] \t]*[ \t*&]~?[\w:]+\([^;]*$"
_TYPES = r"(?:class|struct|enum|union|namespace|interface|record|trait|module|object|protocol)"
_DEFINITIONS = {
    "python": rf"{_AT_MARGIN}(?:async +)?(?:def|class) +\w",
    "javascript": rf"{_AT_MARGIN}{_WORDS}(?:function\b\*?|class|interface|enum|namespace) *\w"
    r"|(?:export +)?(?:const|let|type) +\w+[^=\n]*= *(?:async *)?(?:\(|function\b|\w+ *=>|\{$)",
    "java": rf"{_AT_MARGIN}{_WORDS}{_TYPES} +\w"
    r"|(?: {2}| {4}|\t)(?:(?:public|private|protected|internal|static|final|abstract|override|fun)"
    r"[^\S\n]+)+[^=;\n]*\([^;\n]*$",
    "go": r"(?:func|type) ",
    "rust": rf"{_AT_MARGIN}{_WORDS}(?:fn|struct|enum|trait|mod|union) +\w|(?:unsafe +)?impl\b",
    "c": rf"{_C_FUNCTION}|(?:typedef +)?(?:struct|enum|union|class|namespace)\b[^;(]*\{{?$",
    "ruby": rf"{_AT_MARGIN}(?:def|class|module) +\w",
    "bash": r"(?:function +[\w-]+|[\w-]+ *\(\)) *\{?",
    "powershell": r"(?i:function|class|filter) +\w",
    "sql": r"(?i:create|alter) +(?i:or +replace +)?(?:\w+ +){0,3}[\w\"`.\[]+",
    "ini": r"\[[^\]\n]+\]",
    "lua": r"(?:local +)?function +\w",
    "perl": r"(?:sub|package) +\w",
    "php": rf"{_AT_MARGIN}{_WORDS}(?:function|class|interface|trait|enum) +\w",
    "swift": rf"{_AT_MARGIN}{_WORDS}(?:func|class|struct|enum|protocol|extension|actor) +\w",
    "scala": rf"{_AT_MARGIN}{_WORDS}(?:def|class|object|trait|enum) +\w",
    "r": r"[\w.]+ *(?:<-|=) *function\b",
    "proto": r"(?:message|service|enum) +\w",
    "yaml": r"[\w.-]+:(?:\s|$)",
}
_SAME = {
    "typescript": "javascript", "cpp": "c", "csharp": "java", "kotlin": "java", "toml": "ini",
}  # fmt: skip
_LEAST = {"ini": 150, "toml": 150, "yaml": 150}


def least_of(language: str) -> int:
    """Return the fewest characters of a section: a line of a setting is not one."""
    return _LEAST.get(language, 0)


@cache
def pattern_of(suffix: str) -> re.Pattern[str] | None:
    """Return what matches the first line of a definition; None if the language has none."""
    language = LANGUAGES[suffix]
    pattern = _DEFINITIONS.get(_SAME.get(language, language))
    return re.compile(pattern) if pattern else None
