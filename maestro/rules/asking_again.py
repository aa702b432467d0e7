"""Questions to Discovery about commits that are made: each is put again until it is answered beyond doubt.

There are two kinds: of a commit whose question before it was doubtful (`visibility`), and whether a unit missed a
commit (`not_finished`). Nothing waits for them. They are not stored: what they are put for is, and puts them again
after a restart.
"""

from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.ledger_book import MissedQuestion
from maestro.rules.outage import pause
from maestro.rules.state import System
from maestro.rules.step import Step
from maestro.rules.visible import Look

Question = Look | MissedQuestion


def put(system: System, question: Question, step: Step) -> None:
    """Put a question; an earlier one of its key is void."""
    system.questions[question.key] = question
    question.token = system.token()
    step.do(do.AskAgain(question.key, question.token, question.instance_id))


def on_woken(system: System, key: str, step: Step) -> None:
    """A question was not answered a while ago: put it again."""
    question = system.questions.get(key)
    if question is not None:
        put(system, question, step)


def on_failed(system: System, fact: facts.AskAgainFailed, step: Step) -> None:
    """A question was not answered: put it again later."""
    question = system.questions.get(fact.key)
    if question is not None and question.token == fact.token:
        step.do(do.WakeAt(do.Topic.QUESTION, fact.key, system.now + pause(question.failed)))
        question.failed += 1


def answered(system: System, fact: facts.AskedAgain) -> Question | None:
    """Return the question that is answered; None: it is void."""
    question = system.questions.get(fact.key)
    if question is None or question.token != fact.token:
        return None
    return system.questions.pop(fact.key)
