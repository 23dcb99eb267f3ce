"""A certificate authority for tests: its own certificate as grid clients look for it, one of this host and one of a user."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

NAME = "/O=Nunatak tests"
DAYS = "2"
POLICY = """\
access_id_CA X509 '{name}/CN=CA'
pos_rights globus CA:sign
cond_subjects globus '"{name}/*"'
"""


def openssl(*words: str) -> str:
    """Run openssl; return what it printed. Raises `subprocess.CalledProcessError`."""
    return subprocess.run(["openssl", *words], capture_output=True, text=True, check=True).stdout.strip()


@dataclass(frozen=True)
class Authority:
    """Its files are below `base`; `trusted` is what X509_CERT_DIR names."""

    base: Path

    @classmethod
    def make(cls, base: Path) -> Authority:
        """Return one that has a certificate of its own, valid for two days."""
        made = cls(base)
        made.trusted.mkdir(parents=True)
        openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS, "-subj", f"{NAME}/CN=CA",
            "-keyout", str(base / "ca.key"), "-out", str(base / "ca.pem"),
        )  # fmt: skip
        hashed = openssl("x509", "-in", str(base / "ca.pem"), "-noout", "-subject_hash")
        (made.trusted / f"{hashed}.0").write_bytes((base / "ca.pem").read_bytes())
        (made.trusted / f"{hashed}.signing_policy").write_text(POLICY.format(name=NAME))
        return made

    @property
    def trusted(self) -> Path:
        """The directory of authorities to trust."""
        return self.base / "trusted"

    def sign(self, name: str, file: str, more: str = "") -> tuple[Path, Path]:
        """Return certificate and key of somebody, by the name `NAME/CN=name`, in files called `file`; `more` are extensions."""
        certificate, key, request = (self.base / f"{file}.{end}" for end in ("pem", "key", "csr"))
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            f"{NAME}/CN={name}",
            "-keyout",
            str(key),
            "-out",
            str(request),
        )
        extensions = self.base / "extensions"
        extensions.write_text(more)
        openssl(
            "x509", "-req", "-in", str(request), "-days", DAYS, "-CA", str(self.base / "ca.pem"),
            "-CAkey", str(self.base / "ca.key"), "-CAcreateserial", "-extfile", str(extensions), "-out", str(certificate),
        )  # fmt: skip
        key.chmod(0o400)
        return certificate, key

    def host(self, service: str) -> tuple[Path, Path]:
        """Return certificate and key of this host, called localhost, for a service."""
        return self.sign("localhost", service, "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
