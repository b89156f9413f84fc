"""Default secrets are refused, by every setting that takes one; random ones never are."""

import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.assignment.settings import AssignmentSettings
from services.prelabel.settings import SourceCredentials
from shared.db.database import check_url
from shared.errors import ConfigurationError
from shared.runtime.secrets import token_weakness, url_weakness, weakness
from shared.runtime.settings import KafkaSettings

README = Path(__file__).parents[2] / "README.md"
DEFAULTS = (
    "changeme",
    "ChangeMe1!",
    "password",
    "Password123",
    "secret",
    "admin",
    "postgres",
    "labelstream",
    "12345678",
)
EXAMPLES = ("...", "<password>", "your-password", "xxx", "admin-secret", "alice-secret", "<changeme>")


@pytest.mark.parametrize("secret", [*DEFAULTS, *EXAMPLES, "", "short7c"])
def test_a_default_is_weak_and_never_repeated(secret: str) -> None:
    why = weakness(secret)
    assert why is not None
    assert "secrets.token_urlsafe" in why
    assert not secret or secret not in why.replace("secrets.token_urlsafe", "").replace("import secrets", "")


def test_a_user_name_is_no_password() -> None:
    assert weakness("shop-reader", user="shop-reader") is not None
    assert weakness("shop-reader", user="other") is None


def test_random_secrets_pass() -> None:
    for _ in range(2000):
        assert weakness(secrets.token_urlsafe(9)) is None
        assert weakness(secrets.token_hex(16)) is None
        assert token_weakness("".join(secrets.choice("bcdfghjklmnpqrtvwxz23456789") for _ in range(40))) is None


@pytest.mark.parametrize("password", DEFAULTS)
def test_kafka_with_a_default_is_refused(password: str) -> None:
    with pytest.raises(ValidationError, match=r"LABELSTREAM_KAFKA_SASL_PASSWORD is a well-known default") as caught:
        KafkaSettings(sasl_username="qc-service", sasl_password=password)
    assert f"'{password}'" not in str([one["msg"] for one in caught.value.errors()])


def test_a_file_with_a_default_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("changeme\n")
    with pytest.raises(ValidationError, match="well-known default"):
        KafkaSettings(sasl_username="qc-service", sasl_password_file=file)


def test_a_source_with_a_default_is_refused() -> None:
    with pytest.raises(ValidationError, match="sasl_password is a well-known default"):
        SourceCredentials(sasl_username="them", sasl_password="changeme")


def test_a_misspelt_field_of_credentials_is_refused() -> None:
    with pytest.raises(ValidationError, match="sasl_pasword"):
        SourceCredentials.model_validate({"sasl_username": "them", "sasl_pasword": "Zk93-long-enough"})


@pytest.mark.parametrize("password", [*DEFAULTS, "..."])
def test_a_database_with_a_default_is_refused(password: str) -> None:
    with pytest.raises(ConfigurationError, match="the password in database_url is a well-known default"):
        check_url(f"postgresql://qc:{password}@db/labelstream?sslmode=verify-full", allow_insecure=False)


def test_a_database_by_certificate_has_no_password() -> None:
    check_url("postgresql://qc@db/labelstream?sslmode=verify-full&sslcert=qc.pem", allow_insecure=False)


def test_the_addresses_of_the_documents_do_not_start() -> None:
    found = re.findall(r"postgresql://[^\s'`]+", README.read_text())
    assert found
    assert all(url_weakness(url) for url in found)


@pytest.mark.parametrize("token", ["", "changeme", "a" * 40, "admin-" + "x7Kq" * 10, "tooShort-2x9Lw"])
def test_an_admin_token_must_be_long_and_random(token: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token)
    given: list[dict[str, Any]] = [{"admin_token_file": file}]
    given += [{"admin_token": token}] if token else []  # an unset variable is no administrator
    kafka = KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True)
    for fields in given:
        settings = AssignmentSettings.model_validate({"kafka": kafka, **fields})
        with pytest.raises(ConfigurationError, match="LABELSTREAM_ASSIGNMENT_ADMIN_TOKEN is short or well known"):
            settings.bootstrap_token()


OAUTH = {"sasl_mechanism": "OAUTHBEARER", "oauth_token_url": "https://id.example.com/token", "oauth_client_id": "qc"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"sasl_mechanism": "OAUTHBEARER"},
            "KAFKA_OAUTH_TOKEN_FILE or from LABELSTREAM_KAFKA_OAUTH_TOKEN_URL",
        ),
        ({**OAUTH, "oauth_token_file": "t"}, "give one of them"),
        ({**OAUTH, "oauth_token_url": "http://id.example.com/token"}, "must begin with https"),
        (OAUTH, "OAUTH_CLIENT_SECRET or ..._file are needed"),
        ({**OAUTH, "oauth_client_secret": "changeme"}, "OAUTH_CLIENT_SECRET is a well-known default"),
    ],
)
def test_what_a_token_needs_is_named(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        KafkaSettings.model_validate(fields)
