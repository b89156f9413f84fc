"""From audits to certificates: which model they speak of, what is published when, what is to be labelled again."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.monitor.domain.certificate import Audit, Bets, Evidence, Granted, Rules, Watch, Withdrawn, loss_of, weigh
from services.monitor.domain.symbols import agree
from shared.events import AutoAccept, Certificate, Label, Path
from shared.labels import Names, category

FLAT = 2
"""Classes where a project has none to count."""
RENEWED = 0.25
"""Of its validity, after which a certificate with new audits and no breach is given for longer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One audit as it is kept; `share` is what people's posterior gives to the proposal, `symbol`."""

    generation: int
    model_version: str
    symbol: str
    confidence: float
    share: float
    at: datetime


@dataclass(slots=True)
class Ledger:
    """What a project's certificates stand on.

    Attributes:
        rules: under which the evidence was gathered; other rules begin anew.
        generation: of the model that it is about; a newer one begins anew, an older one is passed over.
        number: of the last certificate published; `issued_at`: when; `audit_share`: what it said.
        symbols: how often each class was proposed, for the prior.
    """

    rules: Rules
    evidence: Evidence
    generation: int = -1
    model_version: str = ""
    number: int = 0
    issued_at: datetime | None = None
    audit_share: float = 1.0
    symbols: dict[str, int] = field(default_factory=dict)


def rules_of(auto: AutoAccept) -> Rules | None:
    """What the project asks for; None without a guarantee."""
    if auto.guarantee is None:
        return None
    return Rules(auto.guarantee.target_error, auto.guarantee.confidence, auto.threshold)


def finding_of(label: Label) -> Finding | None:
    """The audit that a label is: people's first label of an item of the audit lane, with a posterior."""
    proposal = label.evidence.proposal
    if not label.would_auto or label.path is Path.AUTO or label.version != 1 or proposal is None:
        return None
    symbol = category(proposal.value)
    if label.path is Path.EXPERT:
        share = float(agree(label.value, proposal.value))
    elif label.distribution is not None:
        share = label.distribution.get(symbol, 0.0)
    elif label.posterior is not None:
        share = label.posterior if agree(label.value, proposal.value) else 1.0 - label.posterior
    else:
        return None
    at = label.labelled_at
    return Finding(proposal.generation, proposal.model_version, symbol, proposal.confidence, share, at)


def certify(
    ledger: Ledger, findings: Iterable[Finding], auto: AutoAccept, *, classes: int, now: datetime
) -> tuple[list[Certificate], datetime | None]:
    """Weigh audits and say what that changes.

    Args:
        ledger: is changed.
        findings: in the order in which they came.
        auto: the policy, with a guarantee.
        classes: how many the project has.
        now: when certificates are given.

    Returns:
        The certificates to publish, in order; and since when accepted labels are in doubt, if they are.
    """
    rules = rules_of(auto)
    if rules is None:
        return [], None
    said: list[Certificate] = []
    doubtful: datetime | None = None
    if rules != ledger.rules:
        _rule(ledger, rules)
    fresh = 0
    for found in findings:
        if found.generation < ledger.generation:
            continue
        if found.generation > ledger.generation:
            ledger.evidence = Evidence.none(rules)
            ledger.generation, ledger.model_version = found.generation, found.model_version
        fresh += 1
        loss = loss_of(found.share, _prior(ledger, found.symbol, classes), rules.target)
        for decision in weigh(ledger.evidence, [Audit(found.confidence, loss, found.at)], rules):
            if isinstance(decision, Withdrawn):
                doubtful = decision.since if doubtful is None else min(doubtful, decision.since)
            said.append(_say(ledger, decision, auto, now))
    if said:
        return said, doubtful
    return _renewed(ledger, auto, fresh, now), None


def named(ledger: Ledger, findings: Iterable[Finding], names: Names) -> list[Finding]:
    """The audits in present names of classes; changes the ledger's counts of them to these, too."""
    if not names:
        return list(findings)
    ledger.symbols = names.shares(ledger.symbols)
    return [replace(found, symbol=names.symbol(found.symbol)) for found in findings]


def read_back(ledger: Ledger | None, told: Certificate, auto: AutoAccept, at: datetime) -> Ledger | None:
    """What a certificate of an earlier database leaves: its number, and the watch over what it still allows."""
    rules = rules_of(auto)
    if rules is None or (ledger is not None and ledger.number >= told.number):
        return ledger
    evidence = Evidence.none(rules)
    if told.state == "granted":
        evidence.certified, evidence.watch, evidence.began = told.threshold, Watch(), at
    return Ledger(rules, evidence, told.generation, told.model_version, told.number, at, told.audit_share)


def _rule(ledger: Ledger, rules: Rules) -> None:
    """Gather evidence anew under other rules; what stands and promises enough by them is watched on."""
    before, asked = ledger.evidence, ledger.rules.target
    ledger.rules, ledger.evidence = rules, Evidence.none(rules)
    if rules.target >= asked:
        ledger.evidence.certified, ledger.evidence.watch = before.certified, before.watch
        ledger.evidence.began = before.began


def _prior(ledger: Ledger, symbol: str, classes: int) -> float:
    """Of the class in people's posterior: flat, or its share among what was proposed if that is more."""
    ledger.symbols[symbol] = ledger.symbols.get(symbol, 0) + 1
    return max(1.0 / max(classes, FLAT), ledger.symbols[symbol] / (sum(ledger.symbols.values()) + classes))


def _share(ledger: Ledger, auto: AutoAccept) -> float:
    starting = auto.guarantee.starting_share if auto.guarantee is not None else 1.0
    evidence = ledger.evidence
    doubted = evidence.certified is None or evidence.watch.suspicious
    return max(starting, auto.audit_share) if doubted else auto.audit_share


def _renewed(ledger: Ledger, auto: AutoAccept, fresh: int, now: datetime) -> list[Certificate]:
    """The standing certificate again: for longer, or because audits are to come faster or slower."""
    certified = ledger.evidence.certified
    if certified is None or ledger.issued_at is None or auto.guarantee is None or not fresh:
        return []
    aged = now - ledger.issued_at >= timedelta(seconds=RENEWED * auto.guarantee.valid_s)
    if not aged and _share(ledger, auto) == ledger.audit_share:
        return []
    bets = dict(zip(ledger.rules.thresholds, ledger.evidence.tests, strict=True)).get(certified, Bets())
    error = bets.losses / bets.audits if bets.audits else 0.0
    return [_say(ledger, Granted(certified, bets.audits, error), auto, now)]


def _say(ledger: Ledger, decision: Granted | Withdrawn, auto: AutoAccept, now: datetime) -> Certificate:
    granted = decision if isinstance(decision, Granted) else None
    ledger.number, ledger.issued_at, ledger.audit_share = ledger.number + 1, now, _share(ledger, auto)
    valid_s = auto.guarantee.valid_s if granted is not None and auto.guarantee is not None else 0.0
    return Certificate(
        number=ledger.number,
        state="withdrawn" if granted is None else "granted",
        generation=ledger.generation,
        model_version=ledger.model_version,
        threshold=decision.threshold,
        target_error=ledger.rules.target,
        confidence=ledger.rules.confidence,
        audits=0 if granted is None else granted.audits,
        error=None if granted is None else granted.error,
        audit_share=ledger.audit_share,
        valid_until=now + timedelta(seconds=valid_s),
        doubtful_since=decision.since if isinstance(decision, Withdrawn) else None,
        reason=_reason(decision, ledger.rules),
    )


def _reason(decision: Granted | Withdrawn, rules: Rules) -> str:
    if isinstance(decision, Granted):
        return (
            f"{decision.audits} audits of confidence {decision.threshold:g} and above show an error below"
            f" {rules.target:g}"
        )
    return f"audits of confidence {decision.threshold:g} and above show an error that has risen above {rules.target:g}"
