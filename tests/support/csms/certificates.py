"""A certificate authority that lives as long as one test run, and a server's certificate."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
AUTHORITY = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
SERVER = ("basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A server's certificate with its key, and the authority that vouches for it."""

    authority: Path
    chain: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """For a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts this authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.authority))


def make_certificate(folder: Path, host: str) -> Certificate:
    """Make an authority and a certificate for a host name in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    _request(ca, ca_key, f"evdiag test authority of {host}", AUTHORITY)
    made = Certificate(authority=ca, chain=folder / "server.pem", key=folder / "server.key")
    names = (f"subjectAltName=DNS:{host}", *SERVER)
    _request(made.chain, made.key, host, names, "-CA", str(ca), "-CAkey", str(ca_key))
    return made


def _request(
    certificate: Path, key: Path, name: str, extensions: tuple[str, ...], *signer: str
) -> None:
    added = [word for extension in extensions for word in ("-addext", extension)]
    command = ["openssl", "req", "-x509", *CURVE, "-days", "2", "-subj", f"/CN={name}", *added]
    command += [*signer, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
