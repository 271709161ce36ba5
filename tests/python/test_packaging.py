"""Names, versions and the promises of the distribution."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ftpsync

ROOT = Path(__file__).parents[2]

#: Module -> names that scripts written for releases 3.1 and 4.1 import from it.
DOCUMENTED = {
    "ftpsync": "__version__",
    "ftpsync.targets": """make_target _get_encoding_opt _Target FsTarget DirMetadata DirectoryEntry FileEntry
        write is_native to_bytes to_native to_unicode""",
    "ftpsync.ftp_target": """FTPTarget FtpTarget DirMetadata IncompatibleMetadataVersionError
        IncompatibleMetadataVersion CliSilentRuntimeError _Target""",
    "ftpsync.sftp_target": """SFTPTarget PatchedPysftpConnection DirMetadata IncompatibleMetadataVersionError
        IncompatibleMetadataVersion CliSilentRuntimeError _Target""",
    "ftpsync.synchronizers": """BaseSynchronizer BiDirSynchronizer UploadSynchronizer DownloadSynchronizer
        process_options match_path CONFIG_FILE_NAME DEFAULT_OMIT ALWAYS_OMIT FTPTarget FtpTarget DirMetadata
        EntryPair FileEntry DirectoryEntry operation_map DRY_RUN_PREFIX IS_REDIRECTED VT_ERASE_LINE""",
    "ftpsync.resources": """_Resource FileEntry DirectoryEntry EntryPair ENTRY_CLASSIFICATIONS PAIR_OPERATIONS
        operation_map PRINT_CLASSIFICATIONS DEBUG_FLAGS""",
    "ftpsync.metadata": """DirMetadata IncompatibleMetadataVersionError IncompatibleMetadataVersion
        PYFTPSYNC_VERBOSE_META""",
    "ftpsync.util": """
        CliSilentRuntimeError get_pyftpsync_logger set_pyftpsync_logger write write_error is_native
        to_bytes to_native to_unicode check_cli_verbose namespace_to_dict eps_compare pretty_stamp
        get_option prompt_for_password get_credentials_for_url save_password str_to_bool ansi_code
        byte_compare make_native_dict_keys PYTHON_VERSION DEFAULT_CREDENTIAL_STORE DRY_RUN_PREFIX
        IS_REDIRECTED VT_ERASE_LINE DEBUG_FLAGS colorama keyring""",
    "ftpsync.compat": """PY2 PY3 is_basestring is_bytes is_native is_unicode to_bytes to_native to_unicode
        b_empty b_slash BytesIO StringIO queue configparser quote unquote urlparse console_input xrange
        CompatFileNotFoundError CompatConnectionError base64_decodebytes base64_encodebytes html_escape""",
    "ftpsync.cli_common": "verbose_parser common_parser matcher_parser creds_parser DEFAULT_OMIT",
    "ftpsync.pyftpsync": "run",
    "ftpsync.run_command": """add_run_parser handle_run_command MANDATORY_TASK_ARGS KNOWN_TASK_ARGS
        KNOWN_RUN_COMMANDS CLI_OVERRIDABLE_BOOL_TASK_ARGS OVERRIDABLE_BOOL_ARGS""",
    "ftpsync.scan_command": "add_scan_parser scan_handler",
    "ftpsync.tree_command": "add_tree_parser tree_handler",
}


@pytest.mark.parametrize("module", DOCUMENTED)
def test_documented_names_can_be_imported(module: str) -> None:
    found = importlib.import_module(module)
    missing = [name for name in DOCUMENTED[module].split() if not hasattr(found, name)]
    assert missing == []


@pytest.mark.parametrize("module", [name for name in DOCUMENTED if name != "ftpsync.synchronizers"])
def test_exported_names_exist(module: str) -> None:
    found = importlib.import_module(module)
    assert [name for name in found.__all__ if not hasattr(found, name)] == []


def test_there_is_one_version() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    cargo = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for text in (pyproject, cargo):
        match = re.search(r'^version = "(.*)"$', text, re.MULTILINE)
        assert match is not None and match[1] == ftpsync.__version__
    assert f"## {ftpsync.__version__}" in changelog


def test_the_distribution_says_what_it_stands_for() -> None:
    assert ftpsync.__compat_version__ == "4.1.0"
    assert importlib.metadata.version("pyftpsync-rs") == ftpsync.__version__
    scripts = importlib.metadata.entry_points(group="console_scripts", name="pyftpsync")
    assert "ftpsync.pyftpsync:run" in {script.value for script in scripts}
    assert Path(ftpsync.__file__).with_name("py.typed").exists()


def test_the_examples_of_the_documentation_are_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    pieces = [
        block.partition("```")[0]
        for page in ("README.md", "docs/python.md", "docs/servers.md")
        for block in (ROOT / page).read_text(encoding="utf-8").split("```python\n")[1:]
    ]
    assert len(pieces) > 4
    # Variables of one page may have another type on the next.
    for number, piece in enumerate(pieces):
        imports = "from ftpsync.targets import make_target\n" if "make_target" in piece else ""
        (tmp_path / f"piece{number}.py").write_text(imports + piece)
    hook = """
from ftpsync.resources import EntryPair
from ftpsync.synchronizers import BiDirSynchronizer


class Mine(BiDirSynchronizer):
    def on_error(self, exc: Exception, pair: EntryPair) -> bool:
        return isinstance(exc, OSError)
"""
    (tmp_path / "hook.py").write_text(hook)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    checked = subprocess.run(
        [*command, *map(str, sorted(tmp_path.glob("*.py")))], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
