"""chat: a language model of transformers, with compiled experts inside its generation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ...compiler.format.files import read_file, words
from ..errors import ArgumentError
from .errors import FAILED, refusals, refuse
from .limits import limited
from .numbers import Integer
from .options import json_option
from .output import complain, say, to_json
from .progress import working
from .streams import decoded, standard_input

if TYPE_CHECKING:
    from ..hybrid.chat import Chat, Reply
    from ..hybrid.experts import Experts
    from ..hybrid.native import NativeExpert
    from ..hybrid.routers import Router


@click.command("chat")
@click.argument("model")
@click.option("--experts", "file", metavar="FILE", help="Experts of one's own (.toml, .json).  [default: those that come along]")
@click.option("--prompt", metavar="TEXT", help="Answer this and end. Without it prompts are read, one a line.")
@click.option("--rewrite", type=click.Choice(["none", "rules", "model"]), default="none", show_default=True,
              help="Free text to the canonical form first: by rules, or by the model itself.")  # fmt: skip
@click.option("--router", metavar="ROUTER",
              help="What decides at =: `grammar`, or the file of a probe on the hidden state.  [default: grammar]")  # fmt: skip
@click.option("--native", metavar="TEXTS",
              help="The experts are one slot of the last mixture-of-experts layer, chosen by the model's own router, whose row "
                   "is set from the calls in this text file (\"15 + 7 = 22. ...\", a line each).")  # fmt: skip
@click.option("--save", metavar="FOLDER",
              help="Write the model with these experts there, and end: its `generate` calls them.")  # fmt: skip
@click.option("--max-new-tokens", type=Integer(1), default=128, show_default=True, metavar="N", help="Generate up to N tokens.")
@click.option("--engine", type=click.Choice(["fast", "torch"]), default="fast", show_default=True,
              help="That decodes the compiled experts.")  # fmt: skip
@click.option("--device", metavar="DEVICE", help="Where the language model runs: cpu, cuda.  [default: cpu]")
@click.option("--verify", is_flag=True, help="Check every step of every call against wasmtime.")
@json_option
@limited
def chat_command(
    model: str, file: str | None, prompt: str | None, rewrite: str, router: str | None, native: str | None, save: str | None,
    max_new_tokens: int, engine: str, device: str | None, verify: bool, as_json: bool,
) -> int:  # fmt: skip
    """Generates text with MODEL, a causal language model of transformers (a folder or a name); where it writes the canonical
    form of a call, `15 + 7 =`, the compiled expert decodes the result. A folder made by --save has its experts and its router
    with it. Needs the extra `llm`."""
    with refusals():
        from ..errors import needing
        from ..hybrid.errors import ExpertError

        try:
            with needing("chat", "torch", "transformers", extra="llm"), working(f"loading {model}"):
                parts = _parts(model, file, router, native, engine, device)
            if save is not None:
                return _save(save, parts)
            chat, failed = _chat(parts, rewrite), False
            for text in [decoded(prompt)] if prompt is not None else _prompts():
                failed |= _turn(chat, text, max_new_tokens, verify, as_json)
        except ExpertError as error:
            return refuse(error)
    return FAILED if failed else 0


class _Parts(NamedTuple):
    model: Any
    tokenizer: Any
    experts: Experts
    router: Router | None
    native: NativeExpert | None
    file: str | Path | None


def _parts(name: str, file: str | Path | None, router: str | None, texts: str | None, engine: str, device: str | None) -> _Parts:
    from ..hybrid.arithmetic import built_in
    from ..hybrid.chat import open_model, router_of
    from ..hybrid.experts_file import read_experts
    from ..hybrid.native import NativeExpert
    from ..hybrid.saved import has_experts, saved_file, saved_native, saved_router

    saved = has_experts(name)
    if texts and router:
        raise click.UsageError("--native: the model's own router decides; --router is not for it")
    file = file or (saved_file(name) if saved else None)
    experts = read_experts(file, engine) if file else built_in(engine)
    chosen = router_of(router) if router else saved_router(name) if saved else None
    lines = _lines(texts) if texts else []
    model, tokenizer = open_model(name, device)
    native = None
    if lines:
        native = NativeExpert(model, tokenizer, experts)
        native.install(lines)
    elif saved and not router:
        native = saved_native(name, model, tokenizer, experts)
    return _Parts(model, tokenizer, experts, chosen, native, file)


def _lines(path: str) -> list[str]:
    try:
        lines = read_file(Path(path)).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path}: {words(error) if isinstance(error, OSError) else 'no text'}") from None
    if not any(lines):
        raise ArgumentError(f"{path}: has no text")
    return [line for line in lines if line]


def _chat(parts: _Parts, rewrite: str) -> Chat:
    from ..hybrid.chat import Chat
    from ..hybrid.in_context import InContextRewriter
    from ..hybrid.rules import rewrite as by_rules

    by_model = InContextRewriter(parts.model, parts.tokenizer).rewrite
    rewriter = {"none": None, "rules": by_rules, "model": by_model}[rewrite]
    return Chat(
        parts.model, parts.tokenizer, parts.experts, router=parts.router, rewrite=rewriter, native=parts.native
    )


def _save(folder: str, parts: _Parts) -> int:
    from ..hybrid.saved import save

    try:
        save(folder, parts.model, parts.tokenizer, experts_file=parts.file, router=parts.router, native=parts.native)
    except OSError as error:
        raise ArgumentError(f"{folder}: {words(error)}") from None
    names = ", ".join(parts.experts.names)
    say(f'{folder}: AutoModelForCausalLM.from_pretrained("{folder}", trust_remote_code=True).generate(...) calls {names}')
    return 0


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
