"""What the app loads from files of data: their texts with file and line, to be picked by key."""

from __future__ import annotations

from pytest_promptune.core.literals import Literal
from pytest_promptune.core.nodes.model import PromptText
from pytest_promptune.langgraph.nodes.contents import contents
from pytest_promptune.langgraph.nodes.sources import Sources
from pytest_promptune.langgraph.nodes.texts import Tree, tree_of
from pytest_promptune.langgraph.nodes.values import Arguments, Instance, Value, held, union

#: Functions that read a file of data, or its text, by their package.
_LOADERS = {
    "yaml": frozenset({"load", "safe_load", "full_load", "unsafe_load", "load_all", "safe_load_all"}),
    "json": frozenset({"load", "loads"}),
    "tomllib": frozenset({"load", "loads"}),
    "tomli": frozenset({"load", "loads"}),
    "toml": frozenset({"load", "loads"}),
}


def loaded(item: object, given: Arguments, sources: Sources) -> Value | None:
    """What ``yaml.safe_load(file)`` and the like give, where the file is named in the source.

    Returns:
        None for other functions, and where no file of the app is named.
    """
    package = (getattr(item, "__module__", None) or "").partition(".")[0]
    if getattr(item, "__name__", "") not in _LOADERS.get(package, ()):
        return None
    files = [sources.data_file(text.text) for text in contents(held(given.every)).texts]
    trees = [tree for file in files if file is not None and (tree := tree_of(file)) is not None]
    return union([_value(tree) for tree in trees]) if trees else None


def _value(tree: Tree) -> Value:
    if isinstance(tree, Literal):
        return Value(texts=(PromptText(text=tree.text, file=tree.file, line=tree.line),), is_text=True)
    if isinstance(tree, list):
        elements = tuple(map(_value, tree))
        return Value(objects=held(elements).objects, texts=held(elements).texts, elements=elements)
    return Value(objects=(Instance(cls=dict, fields={key: _value(each) for key, each in tree.items()}),))
