"""The index of literals: a text leads back to where it stands."""

from __future__ import annotations

import ast

from pytest_promptune.core.literals import Literal, LiteralIndex, literals_of

SOURCE = '''
SYSTEM = """Classify the ticket.
One word."""

def ask(q, tone):
    return f"Answer the question of the customer: {q}. Be {tone.upper()} in every sentence."
'''


def index() -> LiteralIndex:
    return LiteralIndex(literals_of(ast.parse(SOURCE), "app.py"))


def test_literals():
    """F-strings are one literal with their expressions as placeholders; their pieces are none."""
    texts = {literal.text: literal.line for literal in literals_of(ast.parse(SOURCE), "app.py")}
    assert texts == {
        "Classify the ticket.\nOne word.": 2,
        "Answer the question of the customer: {q}. Be {tone.upper()} in every sentence.": 6,
    }


def test_a_text_as_it_stands():
    """The literal itself, whatever space is around it."""
    assert index().find("  Classify the ticket.\nOne word.\n").line == 2


def test_a_rendered_text():
    """The segments between placeholders, in their order."""
    rendered = "Answer the question of the customer: where is it? Be KIND in every sentence."
    assert index().find(rendered).line == 6


def test_other_texts():
    """Segments that are missing, in another order, or less than half of the text are no match."""
    assert index().find("Answer the question of the customer: where is it?") is None
    assert index().find(" in every sentence. Answer the question of the customer: ") is None
    assert index().find("Classify the ticket.\nOne word." + " x" * 100) is None
    assert index().find("") is None


def test_the_longest_wins():
    """Of two literals that fit, the one that covers more."""
    literals = [
        Literal(file="a.py", line=1, text="You are a helpful bot. {rest}"),
        Literal(file="a.py", line=2, text="You are a helpful bot. Answer {q} politely, please."),
    ]
    found = LiteralIndex(literals).find("You are a helpful bot. Answer it politely, please.")
    assert found.line == 2


def rank(rendered: str, *texts: str) -> list[int]:
    """Numbers of the texts that may have been what was rendered."""
    literals = [Literal(file="a.py", line=number, text=text) for number, text in enumerate(texts)]
    return [literal.line for literal in LiteralIndex(literals).rank(rendered)]


def test_prompts_with_much_in_them():
    """What is filled in may be far longer than the template."""
    template = "Answer from these documents: {docs}"
    assert rank("Answer from these documents: " + "lorem ipsum " * 500, template) == [0]
    assert index().find("Answer from these documents: " + "lorem ipsum " * 500) is None


def test_the_one_that_covers_most_comes_first():
    """Of equal ones the one of which less is missing; texts that don't occur are left out."""
    whole = "You are a clerk of the shop. {more} Answer with one word, please."
    texts = ["You are a clerk of the shop.", whole, "Answer with two words, please.", "{everything}", "word"]
    assert rank("You are a clerk of the shop. Be kind. Answer with one word, please.", *texts) == [1, 0]


def test_branches_of_a_template_and_its_white_space():
    """A branch that was left out, and indents that were taken away; half of the template must be there."""
    template = "  You sort the mail.\n\n    {% if vip %}They are special to us.{% endif %}\n  One word only."
    assert rank("You sort the mail.\nOne word only.", template) == [0]
    assert rank("One word only, they said.", template) == []


def test_a_file_of_several_messages():
    """Each message has lines of the file, none has its headings."""
    file = Literal(
        file="reply.j2",
        line=1,
        text="system:\nYou work for a shop. Answer about {{ topic }} in one sentence.\nuser:\n{{ it }}\n",
    )
    value = Literal(file="app.py", line=3, text="a payment, a delivery or a product")
    index = LiteralIndex([value, file])
    rendered = "You work for a shop. Answer about a payment, a delivery or a product in one sentence."
    assert index.rank(rendered) == [file, value]
    assert index.rank("Is the tablet good?") == []
