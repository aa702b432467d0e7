"""What a report says, in the reader's language. A text with {n} has a form for one and a form for all other numbers."""

from collections.abc import Mapping
from typing import Final

Text = str | tuple[str, str]

EN: Final[Mapping[str, Text]] = {
    "title": "Decision report",
    "asked": "What was asked",
    "shown": "What was shown",
    "decided": "What was decided, by whom, and why",
    "ran": "What ran",
    "changed": "What changed",
    "units": "The results, one by one",
    "about": "About this report",
    "system": "System",
    "reprocessing": "Reprocessing",
    "branch": "Branch",
    "tag": "Tag",
    "status": "Status",
    "event": "Event",
    "instance": "Instance",
    "held_at": "Held since",
    "named_by": "Found by the replay of",
    "late": "late: replays what was already out of date; no commit was held",
    "forking": "opens a branch: approved by rule, without lock",
    "kind": "Kind",
    "field": "Field",
    "value": "Value",
    "payload": "What the event said",
    "writes": ("The commit writes {n} row", "The commit writes {n} rows"),
    "writes.none": "The domain names no row that the commit writes.",
    "writes.unknown": "What the commit writes is not known: {problem}",
    "type": "Type",
    "row": "Row",
    "change": "Change",
    "change.changed": "changed",
    "change.added": "added",
    "change.destroyed": "destroyed",
    "change.unread": "changed, not read before",
    "change.": "unchanged",
    "is": "Now",
    "was": "Before",
    "after": "After",
    "difference": "Difference",
    "percent": "Per cent",
    "more": ("Not listed here: {n} more.", "Not listed here: {n} more."),
    "shown.count": "Results to compute again",
    "shown.digest": "Digest of the preview",
    "shown.not_finished": "Named, but not finished then",
    "shown.likely": "Usual size by then",
    "likely": "{units} in all ({least} to {most} in {runs} past runs)",
    "first_approval": "First of two approvals",
    "who": "Who",
    "when": "When (UTC)",
    "what": "What",
    "why": "Why",
    "cause": "Cause",
    "policies": "What the policies demanded",
    "policy": "Policy",
    "policy.always": "it applies to every commit",
    "policy.unknown": "not known",
    "wording": "Digest of its wording",
    "demanded": "Demanded",
    "effect.approve": "approval without asking",
    "effect.ask": "a person's decision",
    "effect.two_approvers": "two approvals",
    "effect.refuse_skip": "no skip",
    "committed": "Held commit",
    "committed.yes": "made",
    "committed.no": "not made",
    "replays": "Replays made",
    "outstanding": "Replays left",
    "cascaded": "Brought by cascades",
    "processes": "Processes",
    "branches": "Branches",
    "budget": "Budget",
    "budget.replays": ("{n} replay", "{n} replays"),
    "budget.minutes": ("{n} minute", "{n} minutes"),
    "reconsidered": "Judged again as event",
    "set_aside": "Set aside: they cannot be replayed",
    "left_out": "Left out of this run",
    "reimpacted": "Impacted again, and not replayed once more",
    "states": "By state",
    "state": "State",
    "nothing_replayed": "Nothing was replayed.",
    "values": ("{n} value changed", "{n} values changed"),
    "added": ("{n} row added", "{n} rows added"),
    "destroyed": ("{n} row destroyed", "{n} rows destroyed"),
    "unread": ("{n} row changed without having been read", "{n} rows changed without having been read"),
    "largest": "the largest by {percent}",
    "unchanged": ("{n} result stayed as it was.", "{n} results stayed as they were."),
    "compared": ("{n} result was compared.", "{n} results were compared."),
    "failed": ("{n} result cannot be compared: {problem}", "{n} results cannot be compared: {problem}"),
    "pending": (
        "{n} result was not looked at in time: make the report again.",
        "{n} results were not looked at in time: make the report again.",
    ),
    "looked": "This is about the first {looked} of {units} results.",
    "biggest": "The biggest changes",
    "overwrites": (
        "{n} result replaced a value that it had not seen",
        "{n} results replaced values that they had not seen",
    ),
    "missed": "Commits not seen",
    "result": "Result",
    "named": "Named by",
    "named.discovery": "Discovery",
    "named.ledger": "the ledger",
    "named.both": "Discovery and the ledger",
    "brought": "Brought in by",
    "brought.first": "the correction",
    "brought.start": "the start of the run",
    "brought.unit": "result {number}",
    "replay": "Replay",
    "round": "round {number}",
    "outcome": "Outcome",
    "same": "as before",
    "problem": "Problem",
    "read": ("read {n} row that the correction changes", "read {n} rows that the correction changes"),
    "made_at": "Made",
    "made_by": "Made for",
    "anybody": "somebody without a credential",
    "digest": "Digest (SHA-256)",
    "digest.means": (
        "The digest is that of all facts above in their canonical form (the same report as JSON), not of when, for "
        "whom and in which language this page was made: the same facts have the same digest. The audit log has it, too."
    ),
    "times": "All times are UTC.",
    "cut": "Tables of a large run are cut, and say by how much; the digest is about all counts, and what is listed.",
    "lead.pending": ("A commit is held: it would make {n} result wrong. Nobody has decided yet.",
                     "A commit is held: it would make {n} results wrong. Nobody has decided yet."),
    "lead.late": ("{n} result was out of date.", "{n} results were out of date."),
    "lead.held": ("A commit was held: it would have made {n} result wrong.",
                  "A commit was held: it would have made {n} results wrong."),
    "lead.decided": "{user}: {status}, {at}.",
    "lead.because": "Reason: {reason}",
    "lead.replayed": ("{n} replay was made.", "{n} replays were made."),
    "status.pending_approval": "waits for a decision",
    "status.approved": "approved",
    "status.running": "running",
    "status.running_without_lock": "running, no lock",
    "status.paused": "paused",
    "status.finished": "finished",
    "status.skipped": "skipped",
    "status.failure": "failed",
    "status.aborted_split_events_failure": "aborted: queues",
    "status.aborted_persist_domain_failure": "aborted: commit refused",
    "status.cancelled": "cancelled",
    "unit.outstanding": "to do",
    "unit.sending": "being sent",
    "unit.sent": "sent",
    "unit.assessing": "result being judged",
    "unit.committing": "result being committed",
    "unit.done": "done",
    "unit.set_aside": "set aside",
    "unit.left_out": "left out",
}  # fmt: skip

PT: Final[Mapping[str, Text]] = {
    "title": "Relatório da decisão",
    "asked": "O que foi perguntado",
    "shown": "O que foi mostrado",
    "decided": "O que foi decidido, por quem e por quê",
    "ran": "O que foi executado",
    "changed": "O que mudou",
    "units": "Os resultados, um por um",
    "about": "Sobre este relatório",
    "system": "Sistema",
    "reprocessing": "Reprocessamento",
    "branch": "Branch",
    "tag": "Tag",
    "status": "Status",
    "event": "Evento",
    "instance": "Instância",
    "held_at": "Retido desde",
    "named_by": "Apontado pela reexecução de",
    "late": "tardio: reexecuta o que já estava desatualizado; nenhum commit ficou retido",
    "forking": "abre uma branch: aprovado por regra, sem trava",
    "kind": "Tipo",
    "field": "Campo",
    "value": "Valor",
    "payload": "O que o evento dizia",
    "writes": ("O commit grava {n} linha", "O commit grava {n} linhas"),
    "writes.none": "O domínio não aponta linha que o commit grave.",
    "writes.unknown": "Não se sabe o que o commit grava: {problem}",
    "type": "Tipo",
    "row": "Linha",
    "change": "Mudança",
    "change.changed": "mudada",
    "change.added": "acrescentada",
    "change.destroyed": "excluída",
    "change.unread": "mudada, não lida antes",
    "change.": "sem mudança",
    "is": "Agora",
    "was": "Antes",
    "after": "Depois",
    "difference": "Diferença",
    "percent": "Por cento",
    "more": ("Fora desta lista: mais {n}.", "Fora desta lista: mais {n}."),
    "shown.count": "Resultados a calcular de novo",
    "shown.digest": "Digest da prévia",
    "shown.not_finished": "Apontados, mas não concluídos então",
    "shown.likely": "Tamanho usual até então",
    "likely": "{units} ao todo ({least} a {most} em {runs} execuções passadas)",
    "first_approval": "Primeira de duas aprovações",
    "who": "Quem",
    "when": "Quando (UTC)",
    "what": "O quê",
    "why": "Por quê",
    "cause": "Causa",
    "policies": "O que as políticas exigiram",
    "policy": "Política",
    "policy.always": "vale para todo commit",
    "policy.unknown": "não se sabe",
    "wording": "Digest da sua redação",
    "demanded": "Exigiu",
    "effect.approve": "aprovação sem perguntar",
    "effect.ask": "a decisão de uma pessoa",
    "effect.two_approvers": "duas aprovações",
    "effect.refuse_skip": "nenhum descarte",
    "committed": "Commit retido",
    "committed.yes": "feito",
    "committed.no": "não feito",
    "replays": "Reexecuções feitas",
    "outstanding": "Reexecuções restantes",
    "cascaded": "Trazidas por cascatas",
    "processes": "Processos",
    "branches": "Branches",
    "budget": "Limite",
    "budget.replays": ("{n} reexecução", "{n} reexecuções"),
    "budget.minutes": ("{n} minuto", "{n} minutos"),
    "reconsidered": "Julgado de novo como evento",
    "set_aside": "Postos de lado: não podem ser reexecutados",
    "left_out": "Deixados de fora desta execução",
    "reimpacted": "Afetados de novo, sem nova reexecução",
    "states": "Por estado",
    "state": "Estado",
    "nothing_replayed": "Nada foi reexecutado.",
    "values": ("{n} valor mudou", "{n} valores mudaram"),
    "added": ("{n} linha acrescentada", "{n} linhas acrescentadas"),
    "destroyed": ("{n} linha excluída", "{n} linhas excluídas"),
    "unread": ("{n} linha mudada que não tinha sido lida", "{n} linhas mudadas que não tinham sido lidas"),
    "largest": "o maior em {percent}",
    "unchanged": ("{n} resultado ficou como era.", "{n} resultados ficaram como eram."),
    "compared": ("{n} resultado foi comparado.", "{n} resultados foram comparados."),
    "failed": ("{n} resultado não pode ser comparado: {problem}", "{n} resultados não podem ser comparados: {problem}"),
    "pending": (
        "{n} resultado não foi consultado a tempo: gere o relatório de novo.",
        "{n} resultados não foram consultados a tempo: gere o relatório de novo.",
    ),
    "looked": "Isto trata dos primeiros {looked} de {units} resultados.",
    "biggest": "As maiores mudanças",
    "overwrites": (
        "{n} resultado substituiu um valor que não tinha visto",
        "{n} resultados substituíram valores que não tinham visto",
    ),
    "missed": "Commits não vistos",
    "result": "Resultado",
    "named": "Apontado por",
    "named.discovery": "Discovery",
    "named.ledger": "livro-razão",
    "named.both": "Discovery e livro-razão",
    "brought": "Trazido por",
    "brought.first": "a correção",
    "brought.start": "o início da execução",
    "brought.unit": "resultado {number}",
    "replay": "Reexecução",
    "round": "rodada {number}",
    "outcome": "Efeito",
    "same": "como antes",
    "problem": "Problema",
    "read": ("leu {n} linha que a correção muda", "leu {n} linhas que a correção muda"),
    "made_at": "Gerado em",
    "made_by": "Gerado para",
    "anybody": "alguém sem credencial",
    "digest": "Digest (SHA-256)",
    "digest.means": (
        "O digest é o de todos os fatos acima em sua forma canônica (o mesmo relatório em JSON), e não de quando, para "
        "quem e em que idioma esta página foi gerada: os mesmos fatos têm o mesmo digest. Ele está também no log de "
        "auditoria."
    ),
    "times": "Todos os horários são UTC.",
    "cut": "Tabelas de uma execução grande são cortadas, e dizem em quanto; o digest é o das contagens e do listado.",
    "lead.pending": ("Um commit está retido: ele tornaria {n} resultado errado. Ninguém decidiu ainda.",
                     "Um commit está retido: ele tornaria {n} resultados errados. Ninguém decidiu ainda."),
    "lead.late": ("{n} resultado estava desatualizado.", "{n} resultados estavam desatualizados."),
    "lead.held": ("Um commit ficou retido: ele tornaria {n} resultado errado.",
                  "Um commit ficou retido: ele tornaria {n} resultados errados."),
    "lead.decided": "{user}: {status}, {at}.",
    "lead.because": "Motivo: {reason}",
    "lead.replayed": ("{n} reexecução foi feita.", "{n} reexecuções foram feitas."),
    "status.pending_approval": "espera uma decisão",
    "status.approved": "aprovado",
    "status.running": "em execução",
    "status.running_without_lock": "em execução, sem trava",
    "status.paused": "pausado",
    "status.finished": "concluído",
    "status.skipped": "descartado",
    "status.failure": "falhou",
    "status.aborted_split_events_failure": "abortado: filas",
    "status.aborted_persist_domain_failure": "abortado: commit recusado",
    "status.cancelled": "cancelado",
    "unit.outstanding": "por fazer",
    "unit.sending": "sendo enviado",
    "unit.sent": "enviado",
    "unit.assessing": "resultado sendo julgado",
    "unit.committing": "resultado sendo gravado",
    "unit.done": "feito",
    "unit.set_aside": "posto de lado",
    "unit.left_out": "deixado de fora",
}  # fmt: skip

ENGLISH: Final = "en"
PORTUGUESE: Final = "pt-BR"
LANGUAGES: Final = {ENGLISH: EN, PORTUGUESE: PT}


class Words:
    """The texts of one language, and its way of writing numbers."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = LANGUAGES[language]

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its {values} filled in: numbers as the language writes them."""
        text = self._texts[key]
        if not isinstance(text, str):
            text = text[0 if values.get("n") == 1 else 1]
        shown = {
            name: self.number(value) if isinstance(value, int | float) else value for name, value in values.items()
        }
        return text.format_map(shown)

    def known(self, key: str, otherwise: str) -> str:
        """Return the text of a key if there is one, else `otherwise`: for words that come from elsewhere."""
        return self(key) if key in self._texts else otherwise

    def number(self, value: float, *, sign: bool = False) -> str:
        """Return a number with the language's separators; of a fraction ten digits that mean something."""
        if isinstance(value, int):
            text = f"{value:+,}" if sign and value else f"{value:,}"
        else:
            text = f"{value:+,.10g}" if sign and value else f"{value:,.10g}"
        return self._separated(text)

    def percent(self, value: float) -> str:
        """Return a change in per cent with its sign: one decimal, three digits of a small one."""
        text = f"{value:+,.1f}".removesuffix(".0") if abs(value) >= 1 or not value else f"{value:+.3g}"
        return self._separated(text) + "%"

    def _separated(self, text: str) -> str:
        return text.translate(_POINTS) if self.language == PORTUGUESE else text


_POINTS: Final = str.maketrans(",.", ".,")


def language_of(header: str) -> str:
    """Return the language that an `Accept-Language` asks for most, of those there are; English without one."""
    best, weight = ENGLISH, 0.0
    for part in header[:1000].split(","):
        tag, _, parameter = part.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        found = {"en": ENGLISH, "pt": PORTUGUESE, "*": ENGLISH}.get(primary)
        try:
            quality = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            quality = 0.0
        if found and weight < quality <= 1:
            best, weight = found, quality
    return best
