"""`nora-bench serve`: serve a policy to other processes and machines."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    policy: Annotated[str, typer.Option(help="Name, checkpoint, module:Class or file.py:Class.")],
    policy_arg: Annotated[list[str] | None, typer.Option(help="Argument name=value of the policy; repeatable.")] = None,
    suite: Annotated[list[str] | None, typer.Option(help="Suite that clients run; repeatable.", show_default="libero")] = None,
    protocol: Annotated[str | None, typer.Option(help="Protocol that clients run.", show_default="the suite's own")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; public addresses need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="NORA_BENCH_TOKEN", help="Token that clients must send; better set as NORA_BENCH_TOKEN."),
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Maximum number of observations in one batch.")] = 64,
) -> None:
    """Serve a policy by openpi's wire protocol, to `nora-bench run --policy ws://host:port` and to openpi's clients.

    Example: `nora-bench serve --policy nora-1.5 --port 8000`

    `http://host:port/healthz` responds once the policy is ready. Ctrl-C stops the server.
    """
    from ...envs.paths import ensure_cache_home
    from ...policies.base import PolicyContext
    from ...policies.registry import load
    from ..config import parse
    from ..execution.policy_host import LocalPolicyHost
    from ..execution.signals import stop_signals
    from ..planning.plan import resolve_setup
    from ..planning.spec_check import check_specs
    from ..serving.server import Address, greeting, listening, start

    address = Address(host, port, token or None)
    config = parse({"suite": suite or ["libero"], "protocol": protocol, "policy": policy, "policy_arg": policy_arg or None})
    setup = resolve_setup(config)
    served = load(config.policy, config.policy_arg)
    check_specs(setup.suites, setup.protocol, served, config.policy)
    policy_host = LocalPolicyHost(served, ensure_cache_home() / "serve.log")
    names = tuple(one.name for one in setup.suites)
    with stop_signals() as stop:
        batcher = start(served, PolicyContext(setup.protocol, names, len(setup.protocol.settle_action)), policy_host, max_batch)
        with listening(batcher, greeting(config.policy, config.policy_arg, served, policy_host), address) as bound:
            print(f"{policy} for {setup.protocol.name} v{setup.protocol.version} at ws://{host}:{bound}", flush=True)
            batcher.serve_forever(stop)
    policy_host.close()
    print(f"answered: {batcher.meter.summary()}")
