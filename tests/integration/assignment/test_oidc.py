"""Tokens of an OpenID Connect issuer: a real one over HTTP, with real keys, and what a forger tries."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from services.assignment.settings import OidcSettings
from tests.integration.assignment.test_cost import counted
from tests.support import events as make
from tests.support.assignment import Replica
from tests.support.issuer import AUDIENCE, Issuer, b64, forged, issuer, public


@pytest.fixture
async def idp() -> AsyncGenerator[Issuer]:
    async with issuer() as one:
        yield one


def trusting(idp: Issuer, **more: Any) -> OidcSettings:
    known: dict[str, Any] = {
        "issuer": idp.url,
        "audience": AUDIENCE,
        "allow_insecure": True,
        "leeway_s": 5.0,
        "keys_pause_s": 0.3,
    }
    return OidcSettings(**(known | more))


class Door:
    """A replica that believes an issuer, and what it says to tokens."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica

    async def me(self, token: str) -> tuple[int, dict[str, Any]]:
        async with self.replica.client(token) as client:
            answer = await client.get("/v1/me")
        return answer.status_code, answer.json()


async def opened(url: str, idp: Issuer, **more: Any) -> Door:
    replica = Replica(url, {"oidc": trusting(idp, **more)})
    await replica.service.database.connect()
    replica.project()
    return Door(replica)


@pytest.fixture
async def door(assignment_url: str, idp: Issuer) -> AsyncGenerator[Door]:
    """Registers whoever comes, as an annotator."""
    one = await opened(assignment_url, idp, register_people=True, default_role="annotator")
    yield one
    await one.replica.service.database.close()


async def test_both_kinds_of_signature_open_and_the_person_is_registered(door: Door, idp: Issuer) -> None:
    for kid, who in (("r1", "ann"), ("e1", "eve")):
        status, me = await door.me(idp.token(who, kid, name=f"{who.title()} X"))
        assert (status, me["id"], me["role"], me["name"]) == (200, who, "annotator", f"{who.title()} X")
    rows = await door.replica.sql("SELECT principal, action, outcome, subject FROM request_log ORDER BY id")
    assert [tuple(row) for row in rows] == [("ann", "register", "done", "ann"), ("eve", "register", "done", "eve")]


async def test_work_with_a_token_of_the_issuer(door: Door, idp: Issuer) -> None:
    await door.replica.seed(3)
    async with door.replica.client(idp.token("ann", "e1")) as ann:
        task = (await ann.post("/v1/next", json={})).json()["tasks"][0]
        value = {"kind": "choice", "choice": "positive"}
        assert (await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": value})).status_code == 200


async def test_what_is_not_believed(door: Door, idp: Issuer) -> None:
    now = int(time.time())
    claims = {"iss": idp.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 600}
    other = rsa.generate_private_key(65537, 2048)
    good = idp.token("ann", "r1")
    head, body, mark = good.split(".")
    wrong = {
        "expired": idp.token("ann", "r1", exp=now - 60),
        "not yet": idp.token("ann", "r1", nbf=now + 600),
        "issued in the future": idp.token("ann", "r1", iat=now + 600),
        "no end": idp.token("ann", "r1", exp=None),
        "another audience": idp.token("ann", "r1", aud="billing"),
        "no audience": idp.token("ann", "r1", aud=None),
        "another issuer": idp.token("ann", "r1", iss="https://evil.example.com"),
        "nobody": idp.token("ann", "r1", sub=None),
        "not a text": forged_by(idp, {**claims, "sub": {"a": 1}}),
        "control characters": idp.token("an\x1fn", "r1"),
        "the administrator of the settings": idp.token("admin", "r1"),
        "unknown key": jwt.encode(claims, other, algorithm="RS256", headers={"kid": "r9"}),
        "own key under a known name": jwt.encode(claims, other, algorithm="RS256", headers={"kid": "r1"}),
        "no key name": jwt.encode(claims, idp.keys["r1"], algorithm="RS256"),
        "a key that it brings along": jwt.encode(
            claims, other, algorithm="RS256", headers={"kid": "r1", "jwk": public("r1", other), "jku": idp.url}
        ),
        "another kind of key": jwt.encode(claims, idp.keys["e1"], algorithm="ES256", headers={"kid": "r1"}),
        "RS384": jwt.encode(claims, idp.keys["r1"], algorithm="RS384", headers={"kid": "r1"}),
        "PS256": jwt.encode(claims, idp.keys["r1"], algorithm="PS256", headers={"kid": "r1"}),
        "critical extension": idp.token("ann", "r1", headers={"crit": ["x"], "x": 1}),
        "none": forged({"alg": "none", "kid": "r1"}, claims, None),
        "None": forged({"alg": "None", "kid": "r1"}, claims, None),
        "the public key as an HMAC secret": forged({"alg": "HS256", "kid": "r1"}, claims, idp.public_pem("r1")),
        "changed claims": f"{head}.{b64(b'{}')}.{mark}",
        "cut signature": f"{head}.{body}.{mark[:-8]}",
        "no signature": f"{head}.{body}.",
        "deep header": f"eyJ{b64(b'[' * 5000)}.{body}.{mark}",
        "no JSON": f"eyJ.{body}.{mark}",
        "too long": idp.token("ann", "r1", more="x" * 9000),
    }
    for what, token in wrong.items():
        status, said = await door.me(token)
        assert (status, said["code"]) == (401, "unauthenticated"), what
    assert (await door.me(good))[0] == 200
    assert await door.replica.sql("SELECT id FROM annotators WHERE id <> 'ann'") == []


def forged_by(idp: Issuer, claims: dict[str, Any]) -> str:
    """What the issuer itself would sign in error."""
    return jwt.api_jws.encode(json.dumps(claims).encode(), idp.keys["r1"], algorithm="RS256", headers={"kid": "r1"})


async def test_clocks_may_differ_a_little(door: Door, idp: Issuer) -> None:
    now = int(time.time())
    assert (await door.me(idp.token("ann", "r1", exp=now - 2, iat=now - 100)))[0] == 200
    assert (await door.me(idp.token("ann", "r1", iat=now + 3, nbf=now + 3)))[0] == 200


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_weak_and_foreign_keys_of_the_set_are_passed_over(door: Door, idp: Issuer) -> None:
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505  # that is the point
    curve = ec.generate_private_key(ec.SECP384R1())
    idp.extra = [
        None,
        {"kty": "oct", "kid": "h1", "k": b64(b"x" * 32)},
        {**public("enc", idp.keys["r1"]), "use": "enc"},
        {**public("alg", idp.keys["r1"]), "alg": "PS256"},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        public("short", short),
        {**public("curve", curve)},
    ]
    now = int(time.time())
    claims = {"iss": idp.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 600}
    for kid, key, kind in (
        ("short", short, "RS256"), ("enc", idp.keys["r1"], "RS256"), ("alg", idp.keys["r1"], "RS256"),
    ):  # fmt: skip
        assert (await door.me(jwt.encode(claims, key, algorithm=kind, headers={"kid": kid})))[0] == 401, kid
    assert (await door.me(forged({"alg": "HS256", "kid": "h1"}, claims, b"x" * 32)))[0] == 401
    assert (await door.me(idp.token("ann", "r1")))[0] == 200


async def test_a_new_key_is_found_and_an_old_one_is_dropped(door: Door, idp: Issuer) -> None:
    old = idp.token("ann", "r1")
    assert (await door.me(old))[0] == 200
    idp.new_key("r2")
    await asyncio.sleep(0.35)
    assert (await door.me(idp.token("ann", "r2")))[0] == 200
    del idp.keys["r1"]
    idp.new_key("r3")
    await asyncio.sleep(0.35)
    assert (await door.me(idp.token("ann", "r3")))[0] == 200
    assert (await door.me(old))[0] == 401


async def test_unknown_keys_do_not_make_us_a_flood(door: Door, idp: Issuer) -> None:
    stranger = rsa.generate_private_key(65537, 2048)
    now = int(time.time())
    claims = {"iss": idp.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 600}
    tokens = [jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": f"x{n}"}) for n in range(40)]
    answers = await asyncio.gather(*(door.me(token) for token in tokens))
    assert {status for status, _ in answers} == {401}
    assert idp.asked["/keys"] <= 2


async def test_an_issuer_that_is_down(door: Door, idp: Issuer) -> None:
    """Known keys are believed on, unknown ones are a 503; API tokens are none of its business."""
    assert (await door.me(idp.token("ann", "r1")))[0] == 200
    idp.down = True
    fresh = idp.token("bob", "r1")
    idp.new_key("r2")
    later = idp.token("bob", "r2")
    await asyncio.sleep(0.35)
    assert (await door.me(fresh))[0] == 200
    async with door.replica.client(later) as client:
        refused = await client.get("/v1/me")
    assert (refused.status_code, refused.json()["code"]) == (503, "identity_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert (await door.replica.client().get("/v1/me")).status_code == 200
    idp.down = False
    await asyncio.sleep(0.35)
    assert (await door.me(later))[0] == 200


async def test_an_issuer_that_was_never_reached_is_a_503(assignment_url: str, idp: Issuer) -> None:
    one = await opened(assignment_url, idp, register_people=True, default_role="annotator")
    await idp.stop()
    try:
        for _ in range(2):  # the second call does not wait for another attempt
            status, said = await one.me(idp.token("ann", "r1"))
            assert (status, said["code"]) == (503, "identity_unavailable")
    finally:
        await one.replica.service.database.close()


async def test_keys_that_are_too_old_to_believe(assignment_url: str, idp: Issuer) -> None:
    more: dict[str, Any] = {
        "register_people": True,
        "default_role": "annotator",
        "keys_refresh_s": 0.1,
        "keys_kept_s": 0.6,
    }
    one = await opened(assignment_url, idp, **more)
    try:
        token = idp.token("ann", "r1")
        assert (await one.me(token))[0] == 200
        idp.down = True
        await asyncio.sleep(0.7)
        assert (await one.me(token))[0] == 503
    finally:
        await one.replica.service.database.close()


async def test_a_discovery_of_somebody_else_is_not_followed(door: Door, idp: Issuer) -> None:
    idp.says = {"issuer": "https://evil.example.com"}
    assert (await door.me(idp.token("ann", "r1")))[0] == 503


async def test_without_registration_only_known_people_come_in(assignment_url: str, idp: Issuer) -> None:
    one = await opened(assignment_url, idp, id_prefix="corp:")
    try:
        assert (await one.me(idp.token("ann", "r1")))[0] == 401
        async with one.replica.client() as admin:
            body = {"annotators": [{"id": "corp:ann", "role": "expert", "token": False}]}
            assert (await admin.post("/v1/annotators", json=body)).status_code == 200
        status, me = await one.me(idp.token("ann", "r1"))
        assert (status, me["id"], me["role"]) == (200, "corp:ann", "expert")
    finally:
        await one.replica.service.database.close()


async def test_roles_projects_languages_and_groups_come_from_claims(assignment_url: str, idp: Issuer) -> None:
    one = await opened(
        assignment_url, idp, register_people=True, roles_claim="realm_access.roles",
        role_names={"label-people": "annotator", "label-leads": "lead"}, projects_claim="https://x.example/projects",
        projects_prefix="ls:", languages_claim="langs", groups_claim="groups",
    )  # fmt: skip
    now = int(time.time())

    def token(*roles: str, iat: int = now, **more: Any) -> str:
        projects = [f"ls:{make.PROJECT}", "other"]
        said: dict[str, Any] = {"realm_access": {"roles": roles}, "https://x.example/projects": projects, "iat": iat}
        return idp.token("ann", "r1", **said, langs="de en", groups=["blue"], **more)

    try:
        assert (await one.me(token("label-nothing")))[0] == 401
        leading = token("label-people", "label-leads")
        status, me = await one.me(leading)
        assert (status, me["role"], me["projects"]) == (200, "lead", [make.PROJECT])
        rows = await one.replica.sql("SELECT languages, groups FROM annotators")
        assert [tuple(row) for row in rows] == [(["de", "en"], ["blue"])]
        # A later token takes the role away; the older one, still valid, does not bring it back.
        assert (await one.me(token("label-people", iat=now + 1)))[1]["role"] == "annotator"
        one.replica.identities.forget()
        assert (await one.me(leading))[1]["role"] == "annotator"
    finally:
        await one.replica.service.database.close()


async def test_an_erased_or_disabled_person_does_not_come_back_by_a_token(door: Door, idp: Issuer) -> None:
    token = idp.token("ann", "r1")
    assert (await door.me(token))[0] == 200
    await door.replica.sql("UPDATE annotators SET enabled = false")
    assert (await door.me(token))[0] == 401
    await door.replica.sql("DELETE FROM annotators")
    await door.replica.sql("INSERT INTO erasures VALUES ('ann', 'ann', now(), now(), '{}')")
    door.replica.identities.forget()
    assert (await door.me(token))[0] == 401
    assert await door.replica.sql("SELECT FROM annotators") == []


async def test_a_token_costs_nothing_once_it_was_seen(assignment_url: str, idp: Issuer) -> None:
    """No signature, no key and no statement per call; together they are looked up again, and dropped with the key."""
    replica = Replica(
        assignment_url,
        {"oidc": trusting(idp, register_people=True, default_role="annotator"), "token_cache_s": 60.0},
    )
    await replica.service.database.connect()
    replica.project()
    door = Door(replica)
    try:
        tokens = [idp.token(f"p{n}", "r1") for n in range(5)]
        for token in tokens:
            assert (await door.me(token))[0] == 200
        asked = dict(idp.asked)
        clients = [replica.client(token) for token in tokens]
        async with counted(replica) as said:
            for client in clients:
                for _ in range(3):
                    assert (await client.post("/v1/leases/x/submit", json={})).status_code == 422
            assert said == []
            await replica.identities.refresh()
            assert len(said) == 1
        assert idp.asked == asked
        del idp.keys["r1"]
        idp.new_key("r2")
        await asyncio.sleep(0.35)
        assert (await door.me(idp.token("new", "r2")))[0] == 200
        await replica.identities.refresh()
        assert (await door.me(tokens[0]))[0] == 401
    finally:
        await replica.service.database.close()


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"issuer": "https://a.example"}, "audience is needed"),
        ({"issuer": "http://a.example", "audience": "x"}, "https"),
        ({"issuer": "https://a.example", "audience": "x", "algorithms": ["HS256"]}, "RS256"),
        ({"issuer": "https://a.example", "audience": "x", "roles_claim": "roles"}, "role_names"),
        ({"issuer": "https://a.example", "audience": "x", "register_people": True}, "default_role"),
    ],
)
def test_settings_that_would_let_the_wrong_people_in_are_refused(given: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        OidcSettings(**given)
