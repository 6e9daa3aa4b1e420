"""Cut the demonstration's documents out of the PostgreSQL manual and the tldr pages.

    python examples/build_documents.py FOLDER

FOLDER holds ``postgresql.jsonl.gz`` and ``tldr.jsonl.gz``, a JSON object ``{"_id", "title",
"text"}`` a line; examples/README.md says where they come from.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).parent

POSTGRESQL_PAGES = re.compile(
    "app-(createdb|createuser|dropdb|initdb|pg-ctl|pg-dumpall|pg-isready|pgbasebackup|pgdump"
    "|pgrestore|psql|reindexdb|vacuumdb)|arrays|auth-(cert|methods|password|peer|pg-hba-conf"
    "|trust)|backup-(dump|file)|citext|continuous-archiving|creating-cluster|database-roles"
    "|datatype-(binary|boolean|character|datetime|enum|json|money|net-types|numeric|textsearch"
    "|uuid)|ddl-(?!foreign-data|others).*|diskusage|dml-.*|domains|encryption-options"
    "|explicit-(joins|locking)|functions-(aggregate|array|comparison|conditional|datetime|json"
    "|matching|math|sequence|srf|string|subquery|window)|high-availability|hot-standby|hstore"
    "|indexes-.*|intro-whatis|libpq-(connect|envars|pgpass)|limits|locale|locking-indexes"
    "|logfile-maintenance|logical-replication(-quick-setup|-publication|-subscription"
    "|-restrictions)?|manage-ag-.*|monitoring-(locks|ps)|multibyte|mvcc-.*|non-durability"
    "|parallel-(plans|query)|pgcrypto|pgstatstatements|pgtrgm|pgupgrade|planner-stats"
    "|plpgsql-(control-structures|cursors|declarations|overview|statements|structure|trigger)"
    "|populate|postgres-user|predefined-roles|preventing-.*|progress-reporting|queries-.*"
    "|rangetypes|role-.*|routine-(reindex|vacuuming)|rowtypes|rules-materializedviews"
    "|runtime-config-(autovacuum|connection|locks|resource|short|wal)|server-(shutdown|start)"
    "|sql-(abort|alter(database|defaultprivileges|domain|extension|index|policy|role|schema"
    "|sequence|system|table|trigger|type|view)|analyze|begin|call|checkpoint|cluster|comment"
    "|commit|copy|create(database|domain|extension|function|index|materializedview|policy"
    "|procedure|publication|role|schema|sequence|statistics|subscription|table|tableas|tablespace"
    "|trigger|type|view)|deallocate|declare|delete|discard|do|drop(database|extension|function"
    "|index|materializedview|policy|role|schema|sequence|table|trigger|type|view|-owned)|end"
    "|execute|explain|fetch|grant|insert|listen|lock|merge|notify|prepare|prepare-transaction"
    "|reassign-owned|refreshmaterializedview|reindex|release-savepoint|reset|revoke|rollback"
    "|rollback-to|savepoint|select|selectinto|set|set-role|set-transaction|show|truncate|unlisten"
    "|update|vacuum|values)|ssh-tunnels|ssl-tcp|storage-(hot|toast|vm)|textsearch-(intro|tables"
    "|controls|indexes)|transaction-(id|iso)|trigger-definition|tutorial-.*|two-phase|unaccent"
    "|upgrading|user-manag|using-explain|uuid-ossp|view-pg-(indexes|locks|roles|settings|stats"
    "|tables)|wal-(async-commit|configuration|intro|reliability)|warm-standby-failover"
    "|xfunc-volatility"
)
TLDR_PAGES = re.compile(
    "common/(7z|ab|ack|ag|age|alias|ansible(-playbook)?|apropos|ar|arch|aria2c?|at|autossh|awk"
    "|aws(-s3|-ec2|-lambda|-configure)?|az|b2sum|base32|base64|basename|bash|bat|bc|bg|black|brew"
    "|bundle|bunzip2|bzip2|cal|cargo(-(add|build|run|test))?|cat|cd|certbot|chmod|chown|chsh"
    "|clang|clear|cmake|cmp|code|comm|command|composer|conda(-(create|install))?|convert|cp|cpio"
    "|crontab|csplit|ctest|curl|cut|date|dd|df|diff|dig|dirname|docker(-.*)?|dotnet|du|echo|ed"
    "|emacs|env|eval|exec|exiftool|exit|expand|export|expr|factor|false|fc|fd|fdupes|ffmpeg"
    "|ffprobe|fg|file|find|finger|fish|flask|fmt|fold|for|ftp|function|fzf|g\\+\\+|gcc|gcloud|gdb"
    "|gem|gh(-(pr|repo|issue|auth))?|gist|git(-(add|am|apply|archive|bisect|blame|branch"
    "|check-ignore|checkout|cherry-pick|clean|clone|commit|config|describe|diff|fetch"
    "|format-patch|gc|grep|init|log|ls-files|maintenance|merge|mergetool|mv|notes|pull|push"
    "|range-diff|rebase|reflog|remote|rerere|reset|restore|rev-list|rev-parse|revert|rm|shortlog"
    "|show|sparse-checkout|stash|status|submodule|switch|tag|worktree))?|go(-(build|test|mod"
    "|get))?|gpg|gradle|grep|groups|gunzip|gzip|head|helm(-(install|list))?|help|history|host"
    "|hostname|htop|http|httpie|iconv|id|identify|if|ifconfig|inkscape|install|iperf3?|ipcs"
    "|ipython|irb|java|javac|jobs|join|jq|julia|jupyter|k9s|kill|killall|kubectl(-.*)?|last"
    "|latexmk|less|link|ln|locate|logger|login|look|ls|lsof|lua|lz4|magick|mail|make|man|mc"
    "|md5sum|minikube|mkdir|mkfifo|more|mosh|mount|mv|mvn|mycli|mypy|mysql(dump)?|nano|nc|ncdu"
    "|netstat|newgrp|nginx|nice|nl|nm|nmap|node|nohup|npm(-(install|run|init))?|npx|nslookup|nvim"
    "|nvm|objdump|od|openssl(-(req|x509|s_client|genrsa))?|pandoc|parallel|passwd|paste|patch"
    "|perl|pg_(dump|restore|ctl|isready)|pgrep|php|ping|pip(-(install|freeze|list|uninstall))?"
    "|pipx|pkill|podman|poetry|popd|printenv|printf|ps|psql|pushd|pwd|pylint|pytest|python3?"
    "|pyenv|rclone|read|readlink|realpath|redis-(cli|server)|rename|renice|rg|rm|rmdir|rsync|ruby"
    "|ruff|rustc|scp|screen|scrcpy|script|sed|seq|set|sftp|sh|sha1sum|sha256sum|shred|shuf|sleep"
    "|socat|sort|source|split|sqlite3|ssh(-(add|agent|copy-id|keygen))?|sshfs|stat|strings|stty"
    "|su|sudo|sum|svn|sync|tac|tail|tar|tcpdump|tee|telnet|terraform|test|tig|time|timeout|tldr"
    "|tmux|top|touch|tput|tr|traceroute|tree|true|tsc|tty|type|uglifyjs|umask|unalias|uname"
    "|unexpand|uniq|unlink|unrar|unset|unzip|uptime|users|uv|vagrant|vi|vim|virtualenv|w|wait"
    "|watch|wc|wget|where|whereis|which|while|who|whoami|xargs|xxd|xz|yarn|yes|yq|zcat|zip|zsh"
    "|zstd)|linux/(adduser|apt(-.*)?|blkid|chattr|chroot|dmesg|dnf|dpkg|fdisk|free|fsck|fuser"
    "|getent|groupadd|hostnamectl|iostat|ip(-(address|route|link))?|iptables|journalctl|locale"
    "|losetup|lsblk|lscpu|lsmod|lspci|lsusb|mkfs|mkswap|modprobe|nmcli|pacman|parted|pmap|reboot"
    "|resolvectl|rpm|sar|service|shutdown|snap|ss|strace|swapon|sysctl|systemctl(-(daemon-reload"
    "|disable|edit|enable|restart|start|status|stop))?|systemd-analyze|timedatectl|ufw|umount"
    "|update-alternatives|useradd|userdel|usermod|vmstat|yum)"
)
TITLES = {
    "mvcc-intro": "Introduction to Concurrency Control (MVCC)",
    "mvcc-caveats": "Caveats of Concurrency Control (MVCC)",
    "indexes-intro": "Introduction to Indexes",
    "textsearch-intro": "Introduction to Full Text Search",
    "queries-overview": "Overview of Queries",
    "plpgsql-overview": "Overview of PL/pgSQL",
}
REFERENCE_PARTS = (
    "Synopsis", "Description", "Parameters", "Options", "Outputs", "Notes", "Examples",
    "Compatibility", "Environment", "Exit Status", "See Also",
)  # fmt: skip
SECTION = re.compile(r"\s*\b\d+(?:\.\d+){2,}\. ([^#]{3,90}?) # ")
SETTING = re.compile(r"\s+(\w+ \((?:enum|integer|boolean|string|floating point)\)) # ")

Record = dict[str, str]


def tidy_postgresql(name: str, title: str, text: str) -> Record:
    """Drop the title that the text repeats, and set its sections apart."""
    text = re.sub(r"^[\w.]+\. .{3,90}? # ", "", text)
    while text.startswith(f"{title} {title}"):
        text = text.removeprefix(f"{title} ")
    text = SETTING.sub(r"\n\n### \1\n\n", SECTION.sub(r"\n\n## \1\n\n", text))
    if name.startswith(("sql-", "app-")):
        for part in REFERENCE_PARTS:
            text = re.sub(rf" {part} (?=[A-Z\[-]|psql|pg_)", rf"\n\n## {part}\n\n", text, count=1)
    title = TITLES.get(name, title)
    return {"_id": f"postgresql/{name}", "title": title, "text": text, "domain": "database"}


def tidy_tldr(name: str, title: str, text: str) -> Record:
    """Give each example a line of its own."""
    text = re.sub(r"(?<=[.`]) - (?=[A-Z\[])", "\n- ", text)
    return {"_id": f"tldr/{name}", "title": title, "text": text, "domain": "shell"}


def select(
    source: Path, pages: re.Pattern[str], tidy: Callable[[str, str, str], Record]
) -> Iterator[Record]:
    """Read the pages whose names match."""
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        for line in lines:
            page = json.loads(line)
            name = page["_id"].split("/", 1)[1]
            if pages.fullmatch(name):
                yield tidy(name, page["title"], page["text"])


def write(target: Path, records: Iterable[Record]) -> None:
    """Write JSON lines that are the same bytes for the same records."""
    ordered = sorted(records, key=lambda record: record["_id"])
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in ordered)
    target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{target.name}: {len(ordered)} documents, {len(text)} characters")


def main() -> None:
    """Write both files into examples/documents."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of the two source files")
    folder = parser.parse_args().folder
    for name, pages, tidy in (
        ("postgresql.jsonl.gz", POSTGRESQL_PAGES, tidy_postgresql),
        ("tldr.jsonl.gz", TLDR_PAGES, tidy_tldr),
    ):
        write(HERE / "documents" / name, select(folder / name, pages, tidy))


if __name__ == "__main__":
    main()
