"""chat: a language model of transformers, with compiled experts inside its generation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from .errors import FAILED, refusals, refuse
from .limits import limited
from .numbers import Integer
from .options import json_option
from .output import complain, say, to_json
from .progress import working
from .streams import decoded, standard_input

if TYPE_CHECKING:
    from ..hybrid.chat import Chat, Reply


@click.command("chat")
@click.argument("model")
@click.option("--experts", "file", metavar="FILE", help="Experts of one's own (.toml, .json).  [default: those that come along]")
@click.option("--prompt", metavar="TEXT", help="Answer this and end. Without it prompts are read, one a line.")
@click.option("--rewrite", type=click.Choice(["none", "rules", "model"]), default="none", show_default=True,
              help="Free text to the canonical form first: by rules, or by the model itself.")  # fmt: skip
@click.option("--router", default="grammar", show_default=True, metavar="ROUTER",
              help="What decides at =: `grammar`, or the file of a probe on the hidden state.")  # fmt: skip
@click.option("--max-new-tokens", type=Integer(1), default=128, show_default=True, metavar="N", help="Generate up to N tokens.")
@click.option("--engine", type=click.Choice(["fast", "torch"]), default="fast", show_default=True,
              help="That decodes the compiled experts.")  # fmt: skip
@click.option("--device", metavar="DEVICE", help="Where the language model runs: cpu, cuda.  [default: cpu]")
@click.option("--verify", is_flag=True, help="Check every step of every call against wasmtime.")
@json_option
@limited
def chat_command(
    model: str, file: str | None, prompt: str | None, rewrite: str, router: str, max_new_tokens: int, engine: str,
    device: str | None, verify: bool, as_json: bool,
) -> int:  # fmt: skip
    """Generates text with MODEL, a causal language model of transformers (a folder or a name); where it writes the canonical
    form of a call, `15 + 7 =`, the compiled expert decodes the result. Needs the extra `llm`."""
    with refusals():
        from ..errors import needing
        from ..hybrid.errors import ExpertError

        try:
            with needing("chat", "torch", "transformers", extra="llm"), working(f"loading {model}"):
                chat = _chat(model, file, rewrite, router, engine, device)
            failed = False
            for text in [decoded(prompt)] if prompt is not None else _prompts():
                failed |= _turn(chat, text, max_new_tokens, verify, as_json)
        except ExpertError as error:
            return refuse(error)
    return FAILED if failed else 0


def _chat(model: str, file: str | None, rewrite: str, router: str, engine: str, device: str | None) -> Chat:
    from ..hybrid.arithmetic import built_in
    from ..hybrid.chat import Chat, open_model, router_of
    from ..hybrid.experts_file import read_experts
    from ..hybrid.in_context import InContextRewriter
    from ..hybrid.rules import rewrite as by_rules

    experts = read_experts(file, engine) if file else built_in(engine)
    chosen = router_of(router)
    opened, tokenizer = open_model(model, device)
    rewriter = {"none": None, "rules": by_rules, "model": InContextRewriter(opened, tokenizer).rewrite}[rewrite]
    return Chat(opened, tokenizer, experts, router=chosen, rewrite=rewriter)


def _prompts() -> Iterator[str]:
    """Lines of standard input, with a sign before each where a person types them."""
    stream = standard_input()
    if stream is None:
        return
    typed = stream.isatty()
    while True:
        if typed:
            click.echo("> ", nl=False, err=True)
        line = stream.readline()
        if not line:
            return
        if text := line.decode(errors="replace").rstrip("\r\n"):
            yield text


def _turn(chat: Chat, text: str, limit: int, verify: bool, as_json: bool) -> bool:
    """Prints one reply; whether a verification failed."""
    live = sys.stdout.isatty() and not as_json
    reply = chat.reply(text, limit, _streamer(chat) if live else None)
    checked = [event.answer.verify() if verify and event.answer else None for event in reply.events]
    if as_json:
        say(to_json(_told(reply, checked)))
    elif not live:
        say(reply.text)
    for event, verification in zip(reply.events, checked):
        if verification and event.answer and not as_json:
            what = f"{event.answer.call.text} {event.answer.text}"
            how = f"DIFFERENT from wasmtime: {verification.difference}" if verification.difference else "no difference"
            complain(f"{what}: {verification.steps:,} steps, {verification.compared:,} records of wasmtime compared, {how}")
    return any(v is not None and not v.ok for v in checked)


def _streamer(chat: Chat) -> Any:
    from transformers import TextStreamer

    return TextStreamer(chat.tokenizer, skip_prompt=True, skip_special_tokens=True)


def _told(reply: Reply, checked: list[Any]) -> dict[str, Any]:
    calls = []
    for event, verification in zip(reply.events, checked):
        call: dict[str, Any] = {"call": event.decision.call and event.decision.call.text, "confidence": event.decision.confidence}
        if event.answer:
            call |= {"result": event.answer.text, "steps": event.answer.steps, "tokens": event.answer.tokens,
                     "seconds": round(event.answer.seconds, 6)}  # fmt: skip
        else:
            call["refused"] = event.reason
        if verification:
            call |= {"verified": verification.ok, "compared": verification.compared, "difference": verification.difference}
        calls.append(call)
    return {
        "prompt": reply.prompt, "form": reply.form, "not_rewritten": reply.reason, "text": reply.text, "tokens": reply.tokens,
        "calls": calls,
    }  # fmt: skip
