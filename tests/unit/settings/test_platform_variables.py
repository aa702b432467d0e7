"""The variables that the platform's containers and Kubernetes share with Maestro: read, ignored or doubted."""

from pathlib import Path

import pytest

from maestro.settings.loading import load, load_settings
from maestro.settings.problems import SettingsError

NAMES = {
    "MAESTRO_SCHEME": "http",
    "MAESTRO_HOST": "maestro",
    "MAESTRO_PORT": "6971",
    "MAESTRO_SERVICE_HOST": "10.0.0.7",
    "MAESTRO_SERVICE_PORT": "6971",
    "MAESTRO_SERVICE_PORT_HTTP": "6971",
    "MAESTRO_PORT_6971_TCP": "tcp://10.0.0.7:6971",
    "MAESTRO_PORT_6971_TCP_PROTO": "tcp",
    "MAESTRO_PORT_6971_TCP_PORT": "6971",
    "MAESTRO_PORT_6971_TCP_ADDR": "10.0.0.7",
}


@pytest.fixture(autouse=True)
def empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def notes(**environ: str) -> list[str]:
    return list(load(None, environ).notes)


class TestIgnored:
    def test_they_change_nothing_and_are_said_in_one_line(self) -> None:
        loaded = load(None, NAMES)
        assert loaded.settings == load_settings(None, {})
        (line,) = loaded.notes
        assert line.startswith("not read, they say where others find Maestro: MAESTRO_HOST, ")
        assert all(name in line for name in NAMES)
        assert line.endswith("; its own port is PORT or MAESTRO_HTTP__PORT")

    def test_the_link_of_kubernetes(self) -> None:
        assert "MAESTRO_PORT" in notes(MAESTRO_PORT="tcp://10.0.0.7:6971")[0]

    def test_a_service_beside_maestro(self) -> None:
        (line,) = notes(MAESTRO_METRICS_SERVICE_HOST="10.0.0.8", MAESTRO_METRICS_PORT_80_TCP="tcp://10.0.0.8:80")
        assert "MAESTRO_METRICS_SERVICE_HOST" in line

    @pytest.mark.parametrize("name", ["MAESTRO__HTTP__PORT", "MAESTRO_HTTP_PORT", "MAESTRO_HOSTS", "MAESTRO_PORT_TCP"])
    def test_a_misspelt_setting_is_an_error_still(self, name: str) -> None:
        with pytest.raises(SettingsError, match=f"^{name}: unknown setting"):
            load(None, {name: "1"})

    def test_it_names_the_closest_right_one(self) -> None:
        with pytest.raises(SettingsError, match=r"did you mean MAESTRO_HTTP__PORT\?"):
            load(None, {"MAESTRO__HTTP__PORT": "1"})
        with pytest.raises(SettingsError, match=r"did you mean MAESTRO_HTTP__PORT\?"):
            load(None, {"MAESTRO_HTTP_PORT": "1"})


class TestLinks:
    @pytest.mark.parametrize("sibling", ["apicore", "discovery", "process_memory", "event_manager"])
    def test_a_link_gives_its_port(self, sibling: str) -> None:
        environ = {f"{sibling.upper()}_PORT": "tcp://10.0.0.9:4711", f"{sibling.upper()}_HOST": "named"}
        assert getattr(load_settings(None, environ).platform, sibling).url == "http://named:4711"

    def test_what_is_no_port_is_an_error_with_its_name(self) -> None:
        with pytest.raises(SettingsError, match=r"^DISCOVERY_PORT: platform\.discovery\.port = 'tcp://x'"):
            load(None, {"DISCOVERY_PORT": "tcp://x"})

    @pytest.mark.parametrize(
        ("ports", "used"),
        [
            ({"RABBITMQ_PORT": "tcp://10.0.0.9:5673"}, 5673),
            ({"RABBITMQ_AMQP_PORT": "5674"}, 5674),
            ({"RABBITMQ_AMQP_PORT": "tcp://10.0.0.9:5674"}, 5674),
            ({"RABBITMQ_PORT": "tcp://10.0.0.9:15672", "RABBITMQ_AMQP_PORT": "5674"}, 5674),
            ({"RABBITMQ_PORT": "5675", "RABBITMQ_AMQP_PORT": "5674"}, 5675),
            ({}, 5672),
        ],
    )
    def test_the_broker_s_port(self, ports: dict[str, str], used: int) -> None:
        settings = load_settings(None, {"RABBITMQ_HOST": "mq", **ports})
        assert settings.broker.url.get_secret_value() == f"amqp://guest:guest@mq:{used}/plataforma_v1.0"

    def test_the_variables_that_were_read_are_named(self) -> None:
        loaded = load(None, {"RABBITMQ_HOST": "mq", "RABBITMQ_AMQP_PORT": "5674"})
        assert loaded.origins["broker", "url"] == "RABBITMQ_HOST, RABBITMQ_AMQP_PORT"

    @pytest.mark.parametrize("host", ["::1", "[::1]"])
    def test_an_address_of_version_6(self, host: str) -> None:
        url = load_settings(None, {"RABBITMQ_HOST": host}).broker.url.get_secret_value()
        assert url == "amqp://guest:guest@[::1]:5672/plataforma_v1.0"
        assert load_settings(None, {"DISCOVERY_HOST": host}).platform.discovery.url == "http://[::1]:8090"


class TestDoubted:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("APICORE_PROT", "APICORE_PORT"),
            ("EVENT_MANGER_HOST", "EVENT_MANAGER_HOST"),
            ("RABBITMQ_PASWORD", "RABBITMQ_PASSWORD"),
            ("RABBITMQ_USER", "RABBITMQ_USERNAME"),
            ("PROCESSMEMORY_HOST", "PROCESS_MEMORY_HOST"),
            ("discovery_host", "DISCOVERY_HOST"),
            ("AUTO_REPROCESING_sysA", "AUTO_REPROCESSING_sysA"),
        ],
    )
    def test_a_misspelt_name_of_the_platform(self, name: str, meant: str) -> None:
        assert notes(**{name: "x"}) == [f"{name}: not read; did you mean {meant}?"]

    @pytest.mark.parametrize(
        "name",
        [
            "APICORE_SERVICE_HOST",
            "APICORE_SERVICE_PORT",
            "APICORE_PORT_9110_TCP",
            "APICORE_PORT_9110_TCP_PORT",
            "RABBITMQ_NODE_PORT",
            "RABBITMQ_HOME",
            "RABBITMQ_DEFAULT_USER",
            "PATH",
            "HOST",
            "DOMAIN_PORT",
        ],
    )
    def test_names_of_others_are_nobody_s_business(self, name: str) -> None:
        assert notes(**{name: "x"}) == []

    def test_an_empty_one_is_not_set(self) -> None:
        assert notes(APICORE_PROT="", MAESTRO_HOST="", AUTO_REPROCESSING_sysA="") == []


class TestAutoReprocessing:
    @pytest.mark.parametrize("value", ["false", "False", "0", "no", "off", " NO "])
    def test_any_value_approves_and_a_no_is_warned_of(self, value: str) -> None:
        loaded = load(None, {"AUTO_REPROCESSING_sysA": value})
        assert loaded.settings.reprocessing.auto_approve == ("sysA",)
        (note,) = loaded.notes
        assert note.startswith(f"AUTO_REPROCESSING_sysA={value}: any value approves the reprocessings of sysA;")

    def test_a_yes_is_not(self) -> None:
        assert notes(AUTO_REPROCESSING_sysA="true") == []


def test_a_file_with_a_byte_order_mark() -> None:
    Path("maestro.toml").write_bytes(b"\xef\xbb\xbf[http]\nport = 7000\n")
    assert load_settings(None, {}).http.port == 7000
