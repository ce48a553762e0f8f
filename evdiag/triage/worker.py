"""A process that looks at cores for another one.

Questions come on stdin, answers go to stdout, each with its length before it. It ends when nobody
asks any more. It has no part in Ctrl-C: who started it ends it.
"""

import gc
import os
import sys
from typing import BinaryIO

from msgspec.structs import replace

from evdiag.report.neutral import neutralise
from evdiag.triage.known import Known
from evdiag.triage.steps import perform
from evdiag.triage.tasks import Answer, Work, from_bytes, receive, send, to_bytes


def main() -> None:
    """Answer questions until there are no more."""
    questions = sys.stdin.buffer
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    gc.set_threshold(70_000, 10, 10)  # as for all of evdiag: few objects are garbage
    _work(questions, answers)


def _work(questions: BinaryIO, answers: BinaryIO) -> None:
    raw = receive(questions)
    if raw is None:
        return
    begun: Work = from_bytes(raw, Work)
    known = Known(begun.cache)
    send(answers, to_bytes(Answer(number=-1)))
    while (raw := receive(questions)) is not None:
        work: Work = from_bytes(raw, Work)
        for task in work.tasks:
            send(answers, _packed(perform(task, known)))


def _packed(answer: Answer) -> bytes:
    try:
        return to_bytes(answer)
    except UnicodeEncodeError:  # the name of a file that is no text
        reported = answer.reported
        if reported is None:
            return to_bytes(Answer(number=answer.number, message="its name is no text"))
        harmless = replace(reported, report=neutralise(reported.report))
        return to_bytes(replace(answer, reported=harmless))
