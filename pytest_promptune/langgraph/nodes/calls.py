"""Calls in the app's source: which of them call a model, and what all others may give."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import PurePath
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable
from langgraph.pregel import Pregel

from pytest_promptune.core.nodes.model import CallPlace, ModelUse
from pytest_promptune.langgraph.nodes.arguments import arguments_of, sdk_texts, with_partial
from pytest_promptune.langgraph.nodes.attributes import Attributes
from pytest_promptune.langgraph.nodes.contents import Contents, contents, role_of
from pytest_promptune.langgraph.nodes.deriving import DERIVING, tool_names
from pytest_promptune.langgraph.nodes.functions import Functions, python_function
from pytest_promptune.langgraph.nodes.items import looked_up
from pytest_promptune.langgraph.nodes.loaded import loaded
from pytest_promptune.langgraph.nodes.models import (
    FACTORIES,
    constructed,
    is_called_like_a_model,
    is_model_class,
    of_factory,
    of_sdk,
    params_of,
    sdk_call,
    with_schema,
)
from pytest_promptune.langgraph.nodes.posting import posted
from pytest_promptune.langgraph.nodes.prompts import prompt_of
from pytest_promptune.langgraph.nodes.sources import code_of
from pytest_promptune.langgraph.nodes.strings import of_constant
from pytest_promptune.langgraph.nodes.templates import template_of
from pytest_promptune.langgraph.nodes.values import (
    NOTHING,
    Arguments,
    Instance,
    Method,
    Missing,
    Scope,
    Site,
    Value,
    held,
    union,
)

if TYPE_CHECKING:
    from pytest_promptune.langgraph.nodes.evaluator import Evaluator

#: Methods that call what they belong to.
INVOCATIONS = frozenset(
    {
        "invoke", "ainvoke", "stream", "astream", "batch", "abatch", "batch_as_completed",
        "abatch_as_completed", "astream_events", "astream_log", "transform", "atransform", "generate",
        "agenerate", "generate_prompt", "agenerate_prompt", "predict", "apredict", "predict_messages",
        "apredict_messages", "run", "arun", "stream_events",
    }
)  # fmt: skip
#: Those that only LangChain's runnables have: other libraries have models as well.
_OF_CHAINS = frozenset({"invoke", "ainvoke", "stream", "astream", "batch", "abatch"})
#: Methods of somebody else's object, made of a model, that call that model.
_WORKS = re.compile(
    r"a?(?:query|chat|complete|extract|evaluate|summari[sz]e|classify|answer|ask|convert|score|rerank|"
    r"compress|create_text|call)(?:_\w+)?"
)
#: Methods that nothing but a chat model has.
_OF_MODELS = frozenset({"with_structured_output", "bind_tools"})
#: Methods that put something into a collection.
_FILLING = frozenset({"append", "extend", "insert", "add", "update"})
#: Methods of texts whose arguments don't become part of the text.
_TAKING_APART = frozenset(
    {"split", "rsplit", "splitlines", "partition", "strip", "lstrip", "rstrip", "get", "pop", "startswith",
     "endswith", "encode", "find", "count", "setdefault",
        "strftime", "sub", "match", "search", "fullmatch", "findall"}
)  # fmt: skip


class Calls:
    """Evaluates calls for an `Evaluator`."""

    def __init__(self, evaluator: Evaluator, *, declared: frozenset[str]) -> None:
        self._evaluator = evaluator
        self._sources = evaluator.sources
        self._declared = declared
        self.functions = Functions(evaluator)
        self.attributes = Attributes(self.functions)
        #: Graphs that are invoked by hand.
        self.graphs: list[Pregel[Any, Any, Any, Any]] = []

    # -- expressions -------------------------------------------------------------------------------------

    def call(self, node: ast.Call, scope: Scope) -> Value:
        """What a call gives; one of a model is recorded."""
        given = arguments_of(node, lambda part: self._evaluator.expression(part, scope))
        site = Site(file=scope.file, line=node.lineno)
        provider, is_sdk = sdk_call(node)
        if is_sdk:
            self._record([of_sdk(provider, given, client=self._client(node, scope))], sdk_texts(given), site)
            return NOTHING
        if isinstance(node.func, ast.Attribute):
            if (body := posted(node.func.attr, given)) is not None:
                use = of_sdk(body.provider, body.given, origin="posted")
                self._record([use], sdk_texts(body.given), site)
                return NOTHING
            base = self._evaluator.expression(node.func.value, scope)
            if self._fills(node.func, base):
                self._evaluator.bind(node.func.value, union([base, held(given.every)]), scope)
            return self._method(base, node.func.attr, given, site)
        return self.call_value(self._evaluator.expression(node.func, scope), given, site)

    def _client(self, node: ast.Call, scope: Scope) -> Value:
        """What the dotted name of an SDK's call begins with."""
        part = node.func
        while isinstance(part, ast.Attribute):
            part = part.value
        return self._evaluator.expression(part, scope)

    def _fills(self, method: ast.Attribute, base: Value) -> bool:
        """Whether it puts something into a collection, and isn't a method of the app that is called so."""
        if method.attr not in _FILLING:
            return False
        is_local = isinstance(method.value, ast.Name)
        return is_local or not any(map(_has_code, self.attributes.find(base, method.attr).objects))

    def is_invocation(self, base: Value, method: str) -> bool:
        """Whether ``base.method`` calls a model or graph when it is called."""
        if method not in INVOCATIONS:
            return False
        if base.is_unknown:
            return method in _OF_CHAINS and is_called_like_a_model(base.name)
        if base.models or base.bound or any(isinstance(item, Runnable) for item in base.objects):
            return True
        made = [item for item in base.objects if isinstance(item, Instance) and not self._has(item, method)]
        return any(_calls_models(contents(Value(objects=(item,)))) for item in made)

    def _has(self, item: Instance, method: str) -> bool:
        return item.cls is not None and self.functions.is_app_class(item.cls) and hasattr(item.cls, method)

    def _method(self, base: Value, name: str, given: Arguments, site: Site) -> Value:
        if self.is_invocation(base, name):
            self.run(base, given, site)
            return NOTHING
        if base.models or any(isinstance(item, Runnable) for item in base.objects):
            derived = DERIVING.get(name)
            if derived is not None:
                return derived(base, given)
        if self._works(base, name):
            self.run(base, given, site)
            return NOTHING
        for known in (of_constant, looked_up, functools.partial(template_of, sources=self._sources)):
            if (result := known(base, name, given)) is not None:
                return result
        found = self.attributes.find(base, name)
        if any(_is_callable(item) for item in found.objects) or found.models or found.closures or found.bound:
            return self._of_method(base, found, name, given, site)
        return self._of_unknown_method(base, name, given)

    def _of_unknown_method(self, base: Value, name: str, given: Arguments) -> Value:
        """Of a method that isn't found; what it gives holds its object and arguments."""
        if name in _OF_MODELS:  # of a class that is chosen at run time
            inside = contents(base).models or [ModelUse()]
            return DERIVING[name](Value(models=tuple(inside)), given)
        self._call_back(given)
        arguments = [] if name in _TAKING_APART else given.every
        return replace(held([base, *arguments]), is_text=base.is_text)

    def _of_method(self, base: Value, found: Value, name: str, given: Arguments, site: Site) -> Value:
        """Of a method that is known; methods of builtins and paths hold what their object holds."""
        result = self.call_value(found, given, site)
        has_path = any(isinstance(item, PurePath) for item in base.objects)
        is_builtin = not any(map(_has_code, found.objects))
        if (has_path or is_builtin) and not found.closures:
            arguments = [] if name in _TAKING_APART else given.every
            if any(isinstance(item, type) for item in base.objects):
                return result
            return replace(held([base, *arguments]), is_text=_is_str(base))
        return result

    def _works(self, base: Value, method: str) -> bool:
        """Whether it is a method of somebody else's object that was made of a model."""
        made = [item for item in base.objects if isinstance(item, Instance) and not self._has(item, method)]
        return bool(_WORKS.fullmatch(method)) and any(
            _calls_models(contents(item.made_of)) for item in made if not item.made_of.is_unknown
        )

    # -- what is called ----------------------------------------------------------------------------------

    def call_value(self, callee: Value, given: Arguments, site: Site | None) -> Value:
        """What calling a value gives."""
        if callee.bound or (callee.models and not callee.closures):
            for bound in callee.bound:
                self.run(bound, given, site)
            if callee.models:
                self.run(callee, given, site)
            return NOTHING
        results = [self._call_object(item, given, site) for item in callee.objects]
        results += [self.functions.follow(closure, given) for closure in callee.closures]
        if not results:  # something unknown
            self._call_back(given)
            return held(given.every)
        return union(results)

    def _call_object(self, item: Any, given: Arguments, site: Site | None) -> Value:
        for kind, calling in _KINDS:
            if isinstance(item, kind):
                return calling(self, item, given, site)
        return self._call_function(item, given, site)

    def _call_missing(self, item: Missing, given: Arguments, site: Site | None) -> Value:
        return Value(models=(constructed(None, given, item.package.removeprefix("langchain_")),))

    def _call_method(self, item: Method, given: Arguments, site: Site | None) -> Value:
        with_owner = replace(given, positional=(item.owner, *given.positional))
        if self.functions.is_followed(item.function):
            return self.functions.follow(item.function, with_owner)
        self._call_back(given)
        return self._made(None, with_owner)

    def _call_partial(self, item: functools.partial[Any], given: Arguments, site: Site | None) -> Value:
        return self._call_object(item.func, with_partial(item, given), site)

    def _call_runnable(self, item: Any, given: Arguments, site: Site | None) -> Value:
        self.run(Value(objects=(item,)), given, site)
        return NOTHING

    def _call_instance(self, item: Instance, given: Arguments, site: Site | None) -> Value:
        if self._has(item, "__call__"):
            method = self.attributes.get(Value(objects=(item,)), "__call__")
            return self.call_value(method, given, site)
        self.run(Value(objects=(item,)), given, site)
        return NOTHING

    def _call_function(self, item: Any, given: Arguments, site: Site | None) -> Value:
        if _full_name(item) in self._declared:
            self._record([ModelUse()], given.every, site)
            return NOTHING
        name, module = getattr(item, "__name__", ""), getattr(item, "__module__", None) or ""
        if name in FACTORIES and module.startswith(("langchain", "langgraph", "deepagents")):
            return self._factory(given)
        if (table := loaded(item, given, self._sources)) is not None:
            return table
        if (role := _role_of_template(item)) is not None:
            return replace(held(given.every).with_role(role), elements=None)
        called = self._followed(item)
        if called is not None:
            return self.functions.follow(called, given)
        self._call_back(given)
        return held(given.positional[1:]) if module == "re" else self._made(None, given)

    def _followed(self, item: Any) -> Any:
        """What of a callable is followed: its function, or the ``__call__`` of its class."""
        function = python_function(item)
        if function is not None and self.functions.is_followed(function):
            return item
        called = inspect.getattr_static(type(item), "__call__", None)
        function = python_function(called)
        if function is not None and self.functions.is_followed(function):
            return MethodType(called, item)
        return None

    def _factory(self, given: Arguments) -> Value:
        """A model by its name, or an agent of a model."""
        of_model = given.get(0, "model")
        made = contents(of_model) if of_model is not None and not of_model.is_text else Contents()
        models = made.models or [of_factory(given)]
        prompt = given.get(None, "system_prompt", "prompt", "instructions")
        if (output := given.get(None, "response_format")) is not None and not output.is_unknown:
            models = [with_schema(use, output) for use in models]
        tools = given.get(1, "tools")
        models = [replace(use, tools=tool_names(tools)) for use in models] if tools else models
        texts = prompt.with_role("system").texts if prompt is not None else ()
        return Value(models=tuple(models), texts=texts)

    def _construct(self, cls: type, given: Arguments, site: Site | None) -> Value:
        if is_model_class(cls):
            return Value(models=(constructed(cls, given),))
        if issubclass(cls, BaseMessage):
            role = role_of(getattr(cls.model_fields.get("type"), "default", None))
            text = held([value for value in [given.get(0, "content")] if value is not None])
            return text.with_role(role) if role else NOTHING  # what a tool says is no prompt
        if not self.functions.is_app_class(cls):
            self._call_back(given)
            return self._made(cls, given)
        instance = Instance(cls=cls, fields=dict(given.named) if _takes_fields(cls) else {})
        begin = inspect.getattr_static(cls, "__init__", None)
        if isinstance(begin, FunctionType) and self.functions.is_followed(begin):
            self.functions.follow(
                begin, replace(given, positional=(Value(objects=(instance,)), *given.positional))
            )
        else:
            instance.fields.update(zip(_field_names(cls), given.positional, strict=False))
            instance.fields.update(given.named)
        return Value(objects=(instance,))

    def _made(self, cls: type | None, given: Arguments) -> Value:
        """What somebody else's class or function makes of its arguments: it holds them."""
        made_of = held(given.every)
        if made_of.is_unknown:
            return NOTHING
        return Value(objects=(Instance(cls=cls, fields=dict(given.named), made_of=made_of),))

    def _call_back(self, given: Arguments) -> None:
        """Functions that are handed to somebody else's code are called by it, with what follows them."""
        after = [replace(given, positional=given.positional[i + 1 :]) for i in range(len(given.positional))]
        named = [Arguments()] * (len(given.every) - len(after))
        for value, others in zip(given.every, [*after, *named], strict=True):
            for bound in value.bound:
                self.run(bound, others, None)
            for closure in value.closures:
                self.functions.follow(closure, others)
            for item in value.objects:
                function = python_function(item)
                if function is not None and self.functions.is_followed(function):
                    self.functions.follow(item, others)

    # -- models and graphs -------------------------------------------------------------------------------

    def run(self, value: Value, given: Arguments, site: Site | None) -> Value:
        """Invoke a value: record its models, follow its functions, remember its graphs.

        Returns:
            What its functions give.
        """
        inside = contents(value)
        # what may be a graph is one: the models it holds are those of its nodes
        models = [] if inside.graphs and site is not None else inside.models
        if not models and value.is_unknown:
            models = [ModelUse()]
        if models:
            given_params = params_of(given)
            models = [replace(use, params={**use.params, **given_params}) for use in models]
            arguments = [a for a in [given.get(0, "input", "messages", "inputs", "prompt")] if a is not None]
            self._record(models, [Value(texts=tuple(inside.texts)), *arguments, given.rest], site)
        unnamed = replace(given, named={})
        results = [self._call_object(function, unnamed, site) for function in inside.functions]
        results += [self.functions.follow(closure, unnamed) for closure in inside.closures]
        known = {id(graph) for graph in self.graphs}
        self.graphs += [graph for graph in inside.graphs if id(graph) not in known]
        return union(results)

    def _record(self, models: Iterable[ModelUse], texts: Iterable[Value], site: Site | None) -> None:
        near = site.file if site else None
        self._evaluator.found.append(
            CallPlace(
                models=tuple(models),
                prompt=tuple(prompt_of(texts, self._sources, near)),
                file=self._sources.name(site.file) if site else None,
                line=site.line if site else None,
            )
        )


# -- pieces ----------------------------------------------------------------------------------------------


def _calls_models(inside: Contents) -> bool:
    return bool(inside.models or inside.graphs)


def _has_code(method: Any) -> bool:
    """Whether it is written in Python, also a method of an object that the source makes."""
    function = method.function if isinstance(method, Method) else getattr(method, "__func__", method)
    return code_of(function) is not None or python_function(function) is not None


def _is_callable(item: Any) -> bool:
    return isinstance(item, Method | Instance) or callable(item)


def _is_str(value: Value) -> bool:
    return value.is_text or (bool(value.objects) and all(isinstance(item, str) for item in value.objects))


def _full_name(item: Any) -> str:
    function = getattr(item, "__func__", item)
    return f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"


def _role_of_template(item: Any) -> Any:
    """The role that ``SystemMessagePromptTemplate.from_template`` and the like give to a text."""
    owner = getattr(item, "__self__", None)
    if not isinstance(owner, type) or getattr(item, "__name__", "") != "from_template":
        return None
    return role_of(owner.__name__.removesuffix("MessagePromptTemplate").lower()) or "human"


def _takes_fields(cls: type) -> bool:
    return hasattr(cls, "__dataclass_fields__") or hasattr(cls, "model_fields")


def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(getattr(cls, "__dataclass_fields__", ()))


#: The first kind that fits says what calling it gives.
_KINDS: tuple[tuple[type, Callable[[Calls, Any, Arguments, Site | None], Value]], ...] = (
    (Missing, Calls._call_missing),
    (Method, Calls._call_method),
    (functools.partial, Calls._call_partial),
    (type, Calls._construct),
    (Runnable, Calls._call_runnable),
    (Instance, Calls._call_instance),
)
