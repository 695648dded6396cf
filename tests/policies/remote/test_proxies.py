"""Servers on this machine are asked directly; a proxy that fails is named."""

import numpy as np
import pytest
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.registry import load
from nora_bench.policies.remote.proxies import is_local, proxy_of
from servers import TOY, free_port, observation, openpi_like

pytest.importorskip("websockets", minversion="15", reason="pip install 'nora-bench[remote]'")

VARIABLES = ("WS_PROXY", "WSS_PROXY", "SOCKS_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
BEYOND = "ws://203.0.113.5:8000"
"""An address of no private network, where nothing is (reserved for examples)."""


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Without proxies; sets variables."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch.setenv


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "WS_PROXY", "SOCKS_PROXY"])
def test_server_on_this_machine_is_reached_directly(environment, variable):
    environment(variable, f"http://127.0.0.1:{free_port()}")
    with openpi_like(lambda message: {"actions": np.zeros((1, 1))}) as url:
        policy = load(url, {"connect_timeout_s": "1", "cameras": "primary", "state": "false"})
        policy.setup(TOY)
        assert policy.act([observation(images={"primary": np.zeros((8, 8, 3), np.uint8)})])
        policy.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "10.1.2.3", "192.168.0.7", "fd00::1"])
def test_this_machine_and_private_networks_are_local(host):
    assert is_local(host)


@pytest.mark.parametrize("host", ["203.0.113.5", "8.8.8.8", "2001:4860:4860::8888", "no-such-host.invalid"])
def test_public_addresses_are_not_local(host):
    assert not is_local(host)


def test_a_proxy_that_fails_is_named_without_its_password(environment):
    proxy = f"127.0.0.1:{free_port()}"
    environment("HTTPS_PROXY", f"http://me:secret@{proxy}")
    with pytest.raises(PolicyError, match=r"no server responds at ws://203\.0\.113\.5:8000") as caught:
        load(BEYOND, {"connect_timeout_s": "0.2"})
    assert f"HTTPS_PROXY=http://{proxy}" in str(caught.value)
    assert "export NO_PROXY=203.0.113.5" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_no_proxy_is_heeded(environment):
    environment("HTTPS_PROXY", "http://127.0.0.1:9")
    assert proxy_of(BEYOND)
    environment("NO_PROXY", "203.0.113.5")
    assert proxy_of(BEYOND) is None


def test_a_socks_proxy_without_its_package_says_what_to_install(environment, monkeypatch):
    monkeypatch.setattr("nora_bench.policies.remote.proxies.find_spec", lambda name: None)
    environment("HTTPS_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(PolicyError, match=r"pip install python-socks; .*export NO_PROXY"):
        load(BEYOND, {"connect_timeout_s": "0.2"})


@pytest.mark.parametrize("address", ["ftp://127.0.0.1:9", "nonsense"])
def test_invalid_proxy_is_named(environment, address):
    environment("HTTPS_PROXY", address)
    with pytest.raises(PolicyError, match=f"HTTPS_PROXY={address}.*export NO_PROXY"):
        load(BEYOND, {"connect_timeout_s": "0.2"})
