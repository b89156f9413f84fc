"""What this principal may do: by the rules of the brokers where it may see them, else by trying to read."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka.protocol.admin import DescribeAclsRequest

from cli.doctor.findings import Finding, Status
from cli.doctor.kafka import administrator
from cli.topics import end_offsets
from shared.errors import RetryLater
from shared.runtime.settings import KafkaSettings
from shared.topics import ERASURES, PRELABEL, TOPICS, TRAINER

ANY, MATCH = 1, 3
ALLOW, DENY = 3, 2
TOPIC, GROUP = 2, 3
LITERAL, PREFIXED = 3, 4
OPERATIONS = {2: "All", 3: "Read", 4: "Write", 5: "Create", 6: "Delete", 7: "Alter", 8: "Describe", 11: "AlterConfigs"}
SECURITY_DISABLED = 54


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the brokers' authorizer about this principal, or about everybody."""

    resource: int
    name: str
    pattern: int
    operation: str
    allows: bool

    def covers(self, resource: int, name: str, operation: str) -> bool:
        if self.resource != resource or self.operation not in ("All", operation):
            return False
        if self.pattern == PREFIXED:
            return name.startswith(self.name)
        return self.name in ("*", name)


def needs(party: str, prefix: str) -> list[tuple[int, str, str]]:
    """(resource, name, operation) that a service, or the operator, needs by the table of topics."""
    found = []
    for topic in TOPICS:
        if party in topic.readers:
            found.append((TOPIC, prefix + topic.name, "Read"))
            if not topic.compacted or (topic is ERASURES and party not in (PRELABEL, TRAINER)):
                found.append((GROUP, f"{prefix}{party}.{topic.name}", "Read"))
        if party in topic.writers:
            found.append((TOPIC, prefix + topic.name, "Write"))
        if party == topic.dlq_owner:
            found.append((TOPIC, prefix + topic.dlq, "Write"))
    return found


def lacking(rules: Iterable[Rule], wanted: Iterable[tuple[int, str, str]]) -> list[str]:
    """What of it the rules do not allow; a denial beats every permission."""
    known, missing = list(rules), []
    for resource, name, operation in wanted:
        about = [rule for rule in known if rule.covers(resource, name, operation)]
        if not about or any(not rule.allows for rule in about):
            missing.append(f"{operation} of {'topic' if resource == TOPIC else 'group'} {name}")
    return missing


async def access(kafka: KafkaSettings, party: str) -> list[Finding]:
    """Whether this principal has what `party` needs."""
    principal = f"User:{kafka.sasl_username}" if kafka.sasl_username else "this principal"
    subject = f"{principal} as {party}"
    code, rules = await _rules(kafka, principal)
    if code == SECURITY_DISABLED:
        said = "the brokers have no authorizer: everybody may do everything"
        return [
            Finding("access", subject, Status.NOTE, said, "set authorizer.class.name where others share the network")
        ]
    if code == 0 and kafka.sasl_username:
        missing = lacking(rules, needs(party, kafka.prefix))
        if missing:
            why = f"{len(missing)} rights are missing: {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}"  # noqa: PLR2004
            return [Finding("access", subject, Status.WRONG, why, "grant them, or use the principal that has them")]
        return [Finding("access", subject, Status.OK, "has every right that it needs")]
    return await _by_trying(kafka, subject)


async def _rules(kafka: KafkaSettings, principal: str) -> tuple[int, list[Rule]]:
    """The brokers' answer code, and the rules about a principal and about everybody."""
    request = DescribeAclsRequest(ANY, None, ANY, None, None, ANY, ANY)  # null: all
    async with administrator(kafka) as admin:
        answer = await admin._send_request(request)  # noqa: SLF001  # aiokafka has the request and no method for it
    rules = [
        Rule(kind, name, pattern, OPERATIONS.get(operation, ""), permission == ALLOW)
        for kind, name, pattern, acls in _resources(answer)
        for who, _, operation, permission in acls
        if who in (principal, "User:*")
    ]
    return int(answer.error_code), rules


def _resources(answer: Any) -> Iterable[tuple[int, str, int, Any]]:
    for one in answer.resources:
        kind, name, *middle, acls = one
        yield kind, name, middle[0] if middle else LITERAL, acls


async def _by_trying(kafka: KafkaSettings, subject: str) -> list[Finding]:
    refused = []
    for topic in TOPICS:
        try:
            await end_offsets(kafka, topic.name)
        except (RetryLater, TimeoutError):
            refused.append(kafka.physical(topic.name))
    if refused:
        why = f"cannot read {', '.join(refused)}"
        return [Finding("access", subject, Status.WRONG, why, "grant Read and Describe, or create the topics")]
    said = "can read every topic; the rules themselves are not this principal's to see, so writing is not proven"
    return [Finding("access", subject, Status.NOTE, said, "`labelstream doctor --probe` writes to a topic of its own")]
