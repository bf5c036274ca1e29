"""Slides, texts and spreadsheets to PDF through LibreOffice.

Each conversion has its own profile, so that it neither meets a LibreOffice that is open nor
leaves anything behind. Macros stay off and linked content is not fetched.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

from leopard.documents.document import one_line
from leopard.documents.kinds import Kind, kind_by_name, unreadable
from leopard.documents.limits import Stopwatch
from leopard.documents.programs import LIBREOFFICE, run_helper
from leopard.errors import DocumentFormatError

_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
"""Name of the stream that holds an encrypted Office Open XML file (MS-OFFCRYPTO 2.3.4)."""

_PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry"
 xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="DisableActiveContent" oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Inet/Settings">
<prop oor:name="ooInetProxyType" oor:op="fuse"><value>2</value></prop></item>
<item oor:path="/org.openoffice.Inet/Settings">
<prop oor:name="ooInetHTTPProxyName" oor:op="fuse"><value>127.0.0.1</value></prop></item>
<item oor:path="/org.openoffice.Inet/Settings">
<prop oor:name="ooInetHTTPProxyPort" oor:op="fuse"><value>9</value></prop></item>
<item oor:path="/org.openoffice.Inet/Settings">
<prop oor:name="ooInetHTTPSProxyName" oor:op="fuse"><value>127.0.0.1</value></prop></item>
<item oor:path="/org.openoffice.Inet/Settings">
<prop oor:name="ooInetHTTPSProxyPort" oor:op="fuse"><value>9</value></prop></item>
<item oor:path="/org.openoffice.Inet/Settings">
<prop oor:name="ooInetNoProxy" oor:op="fuse"><value></value></prop></item>
</oor:items>
"""
"""Macros, links and active content off; web addresses go to a proxy that is not there (port 9)."""


def office_to_pdf(path: Path, folder: Path, *, source: str, watch: Stopwatch) -> Path:
    """Convert an office file to PDF.

    Args:
        path: The file; it is copied first, so nothing is written beside it.
        folder: An empty folder for temporary files and the result.
        source: Name for people.
        watch: Seconds left for the document.

    Raises:
        HelperMissingError: If LibreOffice is not installed.
        DocumentFormatError: If the file is damaged or encrypted.
        DocumentLimitError: If it takes too long.
    """
    program = LIBREOFFICE.require(source=source, reading="office files")
    if is_encrypted(path, source=source):
        raise DocumentFormatError(
            "the office file is encrypted",
            source=source,
            remedy="save a copy without password, or as an encrypted PDF",
        )
    # A wrong ending would choose a wrong import filter; without one LibreOffice looks inside.
    named = kind_by_name(path.name) is Kind.OFFICE
    copy = folder / ("document" + (path.suffix.lower() if named else ""))
    profile = folder / "profile"
    try:
        shutil.copyfile(path, copy)
    except OSError as error:
        raise unreadable(error, source=source) from error
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(_PROFILE, encoding="utf-8")
    command = [
        *(program, f"-env:UserInstallation={profile.as_uri()}"),
        *("--headless", "--norestore", "--nodefault", "--nolockcheck", "--nologo"),
        *("--convert-to", "pdf", "--outdir", str(folder / "out"), str(copy)),
    ]
    try:
        code, output = run_helper(command, folder=folder, timeout_s=watch.remaining_s)
    except subprocess.TimeoutExpired as error:
        raise watch.error() from error
    except OSError as error:
        code, output = -1, str(error)
    result = folder / "out" / "document.pdf"
    if not result.is_file():
        # LibreOffice exits with 0 on files that it cannot read; only the result tells.
        reason = one_line(output) or f"exit code {code}"
        raise DocumentFormatError(
            f"LibreOffice could not convert it ({reason})",
            source=source,
            remedy="open it in the program that made it and save it as PDF",
        )
    return result


def is_encrypted(path: Path, *, source: str) -> bool:
    """Whether an Office Open XML or OpenDocument file needs a password.

    Raises:
        DocumentError: If the file cannot be read.
    """
    try:
        if not zipfile.is_zipfile(path):
            return _ENCRYPTED_STREAM in path.read_bytes()
        with zipfile.ZipFile(path) as package:
            name = "META-INF/manifest.xml"
            return name in package.namelist() and b"encryption-data" in package.read(name)
    except OSError as error:
        raise unreadable(error, source=source) from error
    except (zipfile.BadZipFile, RuntimeError, ValueError, NotImplementedError, EOFError):
        return False
