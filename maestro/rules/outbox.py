"""The outbox: messages to siblings that decide nothing, stored until they are delivered.

A status text that comes late does harm: delivered after `finished` it hides the instance from Discovery for ever. So
texts are dropped when their document is decided or retried, and always before the instance's commit is begun. A call
that had no answer may still arrive: the commit's owner is marked (`text_late`), and `finished` counts only when it is
seen some time later, too. So it is while a call is under way; once that is answered, a look after it tells.
"""

from maestro.rules import facts, visibility
from maestro.rules.delivery import Delivery
from maestro.rules.document import Document
from maestro.rules.state import OutboxKind, OutboxMessage, System
from maestro.rules.step import DropOutboxMessage, SaveDocument, SaveOutboxMessage, Step


def add_outbox_message(
    system: System, kind: OutboxKind, instance_id: str, text: str, step: Step, about: int = 0
) -> None:
    """Put a message into the outbox."""
    message = OutboxMessage(system.next_outbox_message, kind, instance_id, text, about)
    system.outbox[message.number] = message
    system.next_outbox_message = message.number + 1
    step.save(SaveOutboxMessage(message))


def tell_status(system: System, instance_id: str, text: str, step: Step) -> None:
    """Have API core told a status text of a held instance, unless an earlier event of it is committed.

    Such an instance is `finished`; a text would hide it, and what it committed, from Discovery for ever.
    """
    if not system.has_committed(instance_id):
        add_outbox_message(system, OutboxKind.STATUS, instance_id, text, step)


def drop_texts(system: System, instance_id: str, owner: Delivery | Document, step: Step) -> bool:
    """Drop the status texts of an instance that are not delivered; return whether there were any.

    The caller saves `owner`, whose commit they must not outlast.
    """
    under_way = {
        number
        for number, earlier in system.texts_under_way.items()  # some were dropped for an earlier event of the instance
        if instance_id == visibility.instance_of(earlier)
    }
    # What had no answer counts, whatever the answers to others are.
    unanswered = owner.text_late and not any(of is owner for of in system.texts_under_way.values())
    dropped = False
    for message in list(system.outbox.values()):
        if message.kind is OutboxKind.STATUS and message.instance_id == instance_id:
            if message.number in system.outbox_begun:
                under_way.add(message.number)
            _forget(system, message.number, step)
            dropped = True
    if unanswered or _may_still_come(system, instance_id):
        owner.text_late = True
        for number in under_way:
            system.texts_under_way.pop(number, None)
    elif under_way:
        owner.text_late = True
        system.texts_under_way |= dict.fromkeys(under_way, owner)
    return dropped


def hand_on(system: System, former: Delivery | Document, owner: Delivery | Document) -> None:
    """Have another owner make the commit that a late text of `former` must not outlast. The caller saves `owner`."""
    owner.text_late = former.text_late
    for number, of in system.texts_under_way.items():
        if of is former:
            system.texts_under_way[number] = owner


def _forget(system: System, number: int, step: Step) -> None:
    del system.outbox[number]
    system.outbox_begun.discard(number)
    step.save(DropOutboxMessage(number))


def on_outbox_message_begun(system: System, fact: facts.OutboxMessageBegun, _step: Step) -> None:
    """From now on it may arrive."""
    if fact.number in system.outbox:
        system.outbox_begun.add(fact.number)


def on_outbox_message_refused(system: System, fact: facts.OutboxMessageRefused, step: Step) -> None:
    """It did not arrive, and will not by that call."""
    system.outbox_begun.discard(fact.number)
    _answered(system, fact.number, step)


def _answered(system: System, number: int, step: Step) -> None:
    """A text that was dropped while it was under way is there now, or never will be."""
    owner = system.texts_under_way.pop(number, None)
    if owner is not None and not any(of is owner for of in system.texts_under_way.values()):
        visibility.text_settled(system, owner, step)


def on_outbox_message_unanswered(system: System, fact: facts.OutboxMessageUnanswered, step: Step) -> None:
    """A text may come later than all that follows: what commits its instance's data meanwhile remembers that."""
    instance_id = _addressee(system, fact.number)
    system.outbox_begun.discard(fact.number)  # that call is over
    system.texts_under_way.pop(fact.number, None)
    if not instance_id:
        return
    recent = {of: since for of, since in system.late_texts.items() if _may_still_come(system, of)}
    system.late_texts = recent | {instance_id: system.now}
    visibility.text_unanswered(system, instance_id)
    for delivery in system.deliveries.values():
        if delivery.instance_id == instance_id and not (delivery.done or delivery.replay):
            delivery.text_late = True
            step.save_decided(delivery)
    for doc in system.documents.values():  # so that the next life knows of it
        if doc.held_instance == instance_id and not (doc.text_late or doc.held_committed):
            doc.text_late = True
            step.save(SaveDocument(doc))


def _addressee(system: System, number: int) -> str:
    """Return the instance that a status text is about, dropped meanwhile or not; empty: it is another message."""
    message = system.outbox.get(number)
    if message is not None:
        return message.instance_id if message.kind is OutboxKind.STATUS else ""
    owner = system.texts_under_way.get(number)
    return visibility.instance_of(owner) if owner is not None else ""


def _may_still_come(system: System, instance_id: str) -> bool:
    since = system.late_texts.get(instance_id)
    return since is not None and system.now - since < visibility.TEXT_COMES_WITHIN


def resume(system: System, step: Step) -> None:
    """After a restart: a former life may have called for each text, and died before the answer."""
    system.late_texts = {doc.held_instance: system.now for doc in system.documents.values() if doc.text_late}
    for number in list(system.outbox):
        on_outbox_message_unanswered(system, facts.OutboxMessageUnanswered(number), step)


def on_outbox_message_done(system: System, fact: facts.OutboxMessageDone, step: Step) -> None:
    """It need not be delivered any more."""
    _answered(system, fact.number, step)
    if fact.number in system.outbox:
        _forget(system, fact.number, step)
