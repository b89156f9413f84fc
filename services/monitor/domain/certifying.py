"""From audits to certificates: which model they speak of, what is published when, what is to be labelled again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.monitor.domain.certificate import Audit, Evidence, Rules, loss_of
from services.monitor.domain.pooling import Decision, Granted, Groups, OfClass, Place, Withdrawn, weigh
from services.monitor.domain.symbols import agree
from services.monitor.domain.voids import ALL, Void
from shared.events import AutoAccept, Certificate, CertificateTerms, ClassCertificate, Label, Path, ProjectSpec, Route
from shared.labels import ChoiceSchema, LabelSchema, Names, category

FLAT = 2
"""Classes where a project has none to count."""
SWITCH = 10
"""Audits in a row of another version of a model without generations after which it is taken for the one in use."""
RENEWED = 0.25
"""Of its validity, after which a certificate with new audits and no breach is given for longer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One audit as it is kept; `share` is what people alone give to the proposal, `symbol`."""

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
        evidence: of the pool; `classes` and `gone`: see `pooling.Groups`.
        generation: of the model that it is about; a newer one begins anew, an older one is passed over.
        others: audits in a row of another version of that generation, which is that of a project's own system.
        number: of the last certificate published; `issued_at`: when; `audit_shares`: what it said, the pool's under "".
        symbols: how often each class was proposed, for the prior.
        voids: the last breach of each class that is judged by itself, and of the pool under "".
    """

    rules: Rules
    evidence: Evidence
    generation: int = -1
    model_version: str = ""
    number: int = 0
    issued_at: datetime | None = None
    audit_shares: dict[str, float] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    classes: dict[str, OfClass] = field(default_factory=dict)
    gone: int = 0
    voids: dict[str, Void] = field(default_factory=dict)
    others: int = 0

    @property
    def groups(self) -> Groups:
        """The same evidence, as it is weighed."""
        return Groups(self.evidence, self.classes, self.gone)

    def begin(self) -> None:
        """Forget all evidence and every certificate."""
        self.evidence, self.classes, self.gone = Evidence.none(self.rules), {}, 0


@dataclass(frozen=True, slots=True)
class Doubt:
    """Labels accepted since then are in doubt: of a class, or (None) of all that the pooled certificate covered."""

    since: datetime
    symbol: str | None = None


def rules_of(auto: AutoAccept, label: LabelSchema) -> Rules | None:
    """What the project asks for; None without a guarantee."""
    if auto.guarantee is None:
        return None
    apart = auto.guarantee.per_class and isinstance(label, ChoiceSchema)
    classes = len(label.classes) if apart and isinstance(label, ChoiceSchema) else 0
    return Rules(auto.guarantee.target_error, auto.guarantee.confidence, auto.threshold, classes)


def finding_of(label: Label, spec: ProjectSpec) -> Finding | None:
    """The audit that a label is: people's first label of an item of the audit lane, with a posterior.

    A slice that accepts by its threshold alone draws audits of its own: they say nothing of what a certificate covers.
    """
    proposal = label.evidence.proposal
    if not _guaranteed(label, spec):
        return None
    if not label.would_auto or label.path is Path.AUTO or label.version != 1 or proposal is None:
        return None
    symbol = category(proposal.value)
    if label.path is Path.EXPERT:
        share = float(agree(label.value, proposal.value))
    elif label.evidence.unaided is not None:
        share = label.evidence.unaided
    elif label.distribution is not None:
        share = label.distribution.get(symbol, 0.0)
    elif label.posterior is not None:
        share = label.posterior if agree(label.value, proposal.value) else 1.0 - label.posterior
    else:
        return None
    at = label.labelled_at
    return Finding(proposal.generation, proposal.model_version, symbol, proposal.confidence, share, at)


def refused(route: Route, spec: ProjectSpec) -> Finding | None:
    """The audit that a route ends without a label though people looked at it: nothing speaks for the proposal.

    Would such items drop out, a model that is sure of what nobody can label would lose nothing by it.
    """
    proposal = route.proposal
    if proposal is None or not _guaranteed(route, spec):
        return None
    symbol, at = category(proposal.value), route.routed_at
    return Finding(proposal.generation, proposal.model_version, symbol, proposal.confidence, 0.0, at)


def _guaranteed(event: Label | Route, spec: ProjectSpec) -> bool:
    auto = spec.policy_of(event.slice).auto_accept
    return auto is not None and auto.guarantee is not None


def certify(
    ledger: Ledger, findings: Iterable[Finding], auto: AutoAccept, rules: Rules, *, classes: int, now: datetime
) -> tuple[list[Certificate], list[Doubt]]:
    """Weigh audits and say what that changes.

    Args:
        ledger: is changed.
        findings: in the order in which they came.
        auto: the policy, with a guarantee.
        rules: of that policy.
        classes: how many the project has.
        now: when certificates are given.

    Returns:
        The certificates to publish, in order; and since when which accepted labels are in doubt.
    """
    said: list[Certificate] = []
    doubts: list[Doubt] = []
    if rules != ledger.rules and _rule(ledger, rules):
        said.append(_say(ledger, [Withdrawn(1.0, None)], auto, now))
    for found in findings:
        before = ledger.generation, ledger.model_version
        if not _is_of(found, ledger):
            continue
        if before[0] == ledger.generation and before[1] != ledger.model_version:
            said.append(_say(ledger, [Withdrawn(1.0, None)], auto, now))
        loss = loss_of(found.share, _prior(ledger, found.symbol, classes), rules.target)
        groups = ledger.groups
        decisions = weigh(groups, [Audit(found.confidence, loss, found.at, found.symbol)], rules)
        ledger.gone = groups.gone
        if decisions:
            said.append(_say(ledger, decisions, auto, now))
        for one in decisions:
            if isinstance(one, Withdrawn) and one.since is not None:
                doubts.append(Doubt(one.since, one.symbol))
                ledger.voids[one.symbol or ALL] = Void(ledger.number, one.since)
    return said or _renewed(ledger, auto, now), doubts


def _is_of(found: Finding, ledger: Ledger) -> bool:
    """Whether an audit is of the model that the evidence is about, which begins anew with another one."""
    if found.generation == ledger.generation:
        ledger.others = 0 if found.model_version == ledger.model_version else ledger.others + 1
    if found.generation > ledger.generation or ledger.others >= SWITCH:
        ledger.begin()
        ledger.generation, ledger.model_version, ledger.others = found.generation, found.model_version, 0
        return True
    return found.generation == ledger.generation and ledger.others == 0


def named(ledger: Ledger, findings: Iterable[Finding], names: Names) -> list[Finding]:
    """The audits in present names of classes; changes what the ledger has of them to these, too."""
    if not names:
        return list(findings)
    ledger.symbols = names.shares(ledger.symbols)
    ledger.classes = {names.symbol(symbol): one for symbol, one in ledger.classes.items()}
    ledger.voids = {names.symbol(symbol): one for symbol, one in ledger.voids.items()}
    return [
        Finding(f.generation, f.model_version, names.symbol(f.symbol), f.confidence, f.share, f.at) for f in findings
    ]


def read_back(ledger: Ledger | None, told: Certificate, rules: Rules, at: datetime) -> Ledger | None:
    """What a certificate of an earlier database leaves: its number, and the watch over what it still allows."""
    if ledger is not None and ledger.number >= told.number:
        return ledger
    made = Ledger(rules, Evidence.none(rules), told.generation, told.model_version, told.number, at)
    pooled = told.pooled if rules.by_class else told.overall
    made.evidence, made.audit_shares = _told(pooled, rules, at), {"": pooled.audit_share}
    for one in told.classes if rules.by_class else ():
        place = Place.EXCLUDED if one.threshold is None else Place.OWN
        made.classes[one.symbol] = OfClass(_told(one, rules, at), Evidence.none(rules).tests, place)
        made.audit_shares[one.symbol] = one.audit_share
    return made


def _told(terms: CertificateTerms, rules: Rules, at: datetime) -> Evidence:
    known = Evidence.none(rules)
    known.breached = terms.breached_since
    if terms.threshold is not None:
        known.certified, known.began, known.valid_until = terms.threshold, at, terms.valid_until
    return known


def _rule(ledger: Ledger, rules: Rules) -> bool:
    """Gather evidence anew under other rules; what stands and promises enough by them is watched on.

    Returns whether something is certified no more that readers may still take for certified: what is left of a pool is
    not proven of the classes that had left it, where they are to be judged together again.
    """
    before, classes, asked = ledger.evidence, ledger.classes, ledger.rules
    ledger.rules = rules
    ledger.begin()
    if rules.target < asked.target:
        return False
    apart = {symbol: one for symbol, one in classes.items() if one.place is not Place.POOLED}
    if apart and not rules.by_class:
        return True
    _keep(ledger.evidence, before)
    for symbol, one in apart.items():
        kept = OfClass(Evidence.none(rules), Evidence.none(rules).tests, one.place)
        _keep(kept.own, one.own)
        ledger.classes[symbol] = kept
    return False


def _keep(evidence: Evidence, before: Evidence) -> None:
    evidence.certified, evidence.watch, evidence.began = before.certified, before.watch, before.began
    evidence.valid_until, evidence.breached = before.valid_until, before.breached


def _prior(ledger: Ledger, symbol: str, classes: int) -> float:
    """Of the class in people's posterior: flat, or its share among what was proposed if that is more."""
    ledger.symbols[symbol] = ledger.symbols.get(symbol, 0) + 1
    return max(1.0 / max(classes, FLAT), ledger.symbols[symbol] / (sum(ledger.symbols.values()) + classes))


def _share(evidence: Evidence, auto: AutoAccept) -> float:
    starting = auto.guarantee.starting_share if auto.guarantee is not None else 1.0
    doubted = evidence.certified is None or evidence.watch.suspicious
    return max(starting, auto.audit_share) if doubted else auto.audit_share


def _standing(ledger: Ledger) -> dict[str, Evidence]:
    """What decides, by class; the pool's under ""."""
    apart = {symbol: one.own for symbol, one in ledger.classes.items() if one.place is not Place.POOLED}
    return {"": ledger.evidence, **apart}


def _renewed(ledger: Ledger, auto: AutoAccept, now: datetime) -> list[Certificate]:
    """The standing certificate again: for longer, or because audits are to come faster or slower."""
    standing = [(symbol, one) for symbol, one in _standing(ledger).items() if one.certified is not None and one.fresh]
    if not standing or ledger.issued_at is None or auto.guarantee is None:
        return []
    aged = now - ledger.issued_at >= timedelta(seconds=RENEWED * auto.guarantee.valid_s)
    if not aged and all(_share(one, auto) == ledger.audit_shares.get(symbol) for symbol, one in standing):
        return []
    return [_say(ledger, (), auto, now)]


def _say(ledger: Ledger, decisions: Sequence[Decision], auto: AutoAccept, now: datetime) -> Certificate:
    """All that stands now, in one event; of what was withdrawn, since when it is in doubt."""
    valid_s = auto.guarantee.valid_s if auto.guarantee is not None else 0.0
    void = {one.symbol: one for one in decisions if isinstance(one, Withdrawn)}
    decided = {one.symbol for one in decisions}
    for symbol, one in _standing(ledger).items():
        if one.certified is not None and (one.fresh or one.valid_until is None or (symbol or None) in decided):
            one.valid_until, one.fresh = now + timedelta(seconds=valid_s), False
    ledger.number, ledger.issued_at = ledger.number + 1, now
    ledger.audit_shares = {symbol: _share(one, auto) for symbol, one in _standing(ledger).items()}
    rest = _terms(ledger, "", void.get(None), now)
    classes = tuple(
        ClassCertificate(symbol=symbol, **dict(_terms(ledger, symbol, void.get(symbol), now)))
        for symbol in sorted(ledger.classes)
        if ledger.classes[symbol].place is not Place.POOLED
    )
    every = [rest, *classes]
    held = all(one.threshold is not None for one in every)
    return Certificate(
        number=ledger.number,
        state="granted" if held else "withdrawn",
        generation=ledger.generation,
        model_version=ledger.model_version,
        threshold=_threshold(every, void.get(None)),
        target_error=ledger.rules.target,
        confidence=ledger.rules.confidence,
        audits=rest.audits,
        error=rest.error,
        audit_share=max(one.audit_share for one in every),
        valid_until=min(one.valid_until for one in every),
        doubtful_since=rest.doubtful_since,
        reason=_reason(decisions, ledger),
        classes=classes,
        rest=rest if classes else None,
    )


def _terms(ledger: Ledger, symbol: str, lost: Withdrawn | None, now: datetime) -> CertificateTerms:
    """Of a class that is judged by itself; "": of all others."""
    known = _standing(ledger)[symbol]
    bets, held = known.counted(ledger.rules), known.certified is not None
    return CertificateTerms(
        threshold=known.certified,
        audits=bets.audits if held else 0,
        error=bets.losses / bets.audits if held and bets.audits else None,
        audit_share=ledger.audit_shares[symbol],
        valid_until=(known.valid_until if held else None) or now,
        doubtful_since=lost.since if lost is not None else None,
        breached_since=known.breached,
    )


def _threshold(every: Iterable[CertificateTerms], lost: Withdrawn | None) -> float:
    """From which every class is accepted, or those that are; else from which the pool was until now."""
    held = [one.threshold for one in every if one.threshold is not None]
    return max(held, default=lost.threshold if lost is not None else 1.0)


def _reason(decisions: Sequence[Decision], ledger: Ledger) -> str:
    target = ledger.rules.target
    return "; ".join(_because(one, target) for one in decisions)[:2000] or f"audits go on to show less than {target:g}"


def _because(decision: Decision, target: float) -> str:
    of = "" if decision.symbol is None else f" of {decision.symbol!r}"
    if isinstance(decision, Granted):
        above = f"of confidence {decision.threshold:g} and above"
        return f"{decision.audits} audits{of} {above} show an error below {target:g}"
    if decision.since is None:
        return f"audits{of or ' of the other classes'} do not by themselves show an error below {target:g}"
    return f"audits{of} of confidence {decision.threshold:g} and above show an error that has risen above {target:g}"
