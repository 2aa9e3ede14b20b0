"""The graph: classify_intent → write_reply."""

from dataclasses import dataclass
from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from support_bot.models import model_from_environment
from support_bot.prompts import chat

#: What the app calls an intent → what the model is to call it: a small one understands plain words better.
INTENTS = {
    "billing": "a payment",
    "delivery": "a delivery",
    "technical_support": "a technical problem",
    "product_inquiry": "a product",
}
*FIRST, LAST = INTENTS.values()
TOPICS = f"{', '.join(FIRST)} or {LAST}"


class State(TypedDict, total=False):
    message: str
    intent: str
    reply: str


@dataclass(frozen=True)
class Tunables:
    """The graph's runtime context: what a variant can change beside the prompts."""

    classify_temperature: float = 0.7
    reply_temperature: float = 0.7
    reply_max_tokens: int = 8


def build_graph(*, max_retries: int | None = None) -> CompiledStateGraph:
    """The compiled app. Build it where it will run: its model's async client belongs to one event loop.

    Args:
        max_retries: how often the provider's client tries a failed call again; None for its default.
    """
    model = model_from_environment(list(INTENTS.values()), max_retries=max_retries)

    async def classify_intent(state: State, config: RunnableConfig, runtime: Runtime[Tunables]) -> State:
        tunables = runtime.context or Tunables()
        topic = await model.choose(
            chat("classify.j2", topics=TOPICS, message=state["message"]),
            temperature=tunables.classify_temperature,
            seed=_seed(config),
        )
        return {"intent": next(intent for intent, words in INTENTS.items() if words == topic)}

    async def write_reply(state: State, config: RunnableConfig, runtime: Runtime[Tunables]) -> State:
        tunables = runtime.context or Tunables()
        reply = await model.write(
            chat("reply.j2", topic=INTENTS[state["intent"]], message=state["message"]),
            temperature=tunables.reply_temperature,
            max_tokens=tunables.reply_max_tokens,
            seed=_seed(config),
        )
        return {"reply": reply.strip()}

    graph = StateGraph(State, context_schema=Tunables)
    graph.add_node("classify_intent", classify_intent)
    graph.add_node("write_reply", write_reply)
    graph.add_edge(START, "classify_intent")
    graph.add_edge("classify_intent", "write_reply")
    graph.add_edge("write_reply", END)
    return graph.compile()


def _seed(config: RunnableConfig) -> int | None:
    """The seed that promptune derives from case, variant and run; None in production."""
    return config.get("configurable", {}).get("promptune_seed")
