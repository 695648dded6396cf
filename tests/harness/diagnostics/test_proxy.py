"""What the doctor says of the proxies that the environment names."""

import socket

import pytest
from nora_bench.harness.diagnostics.checks import Status
from nora_bench.harness.diagnostics.proxy import KINDS, proxies
from servers import free_port


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Without proxies; sets variables."""
    for kind in KINDS:
        monkeypatch.delenv(f"{kind}_proxy", raising=False)
        monkeypatch.delenv(f"{kind}_proxy".upper(), raising=False)
    return monkeypatch.setenv


def test_without_proxies_nothing_is_said():
    assert [*proxies()] == []


def test_a_proxy_that_answers_is_fine(environment):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        environment("HTTPS_PROXY", f"http://me:secret@127.0.0.1:{listening.getsockname()[1]}")
        (result,) = proxies()
    assert result.status is Status.ok
    assert "secret" not in str(result)


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "http://127.0.0.1:not-a-port"])
def test_a_proxy_that_does_not_answer_is_noted_with_what_unsets_it(environment, address):
    environment("HTTPS_PROXY", address.format(port=free_port()))
    (result,) = proxies()
    assert result.status is Status.note
    assert "unset HTTPS_PROXY" in str(result.fix)


def test_a_socks_proxy_without_its_package_is_noted(environment, monkeypatch):
    monkeypatch.setattr("nora_bench.policies.remote.proxies.find_spec", lambda name: None)
    environment("HTTPS_PROXY", "socks5://127.0.0.1:9")
    (result,) = proxies()
    assert (result.status, result.fix.pip) == (Status.note, (("python-socks",),))
