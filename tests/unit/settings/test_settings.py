"""Where settings come from, which source wins, and what is said about wrong ones."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from maestro.settings.environment import variable
from maestro.settings.layers import leaves, plain
from maestro.settings.loading import find_file, load, load_settings
from maestro.settings.model import PlatformSettings, Settings
from maestro.settings.problems import SettingsError, all_keys
from maestro.settings.render import as_toml, masked
from maestro.settings.servers import BrokerSettings

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config" / "maestro.toml"


@pytest.fixture(autouse=True)
def empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str) -> Path:
    path = Path("m.toml")
    path.write_text(text, encoding="utf-8")
    return path


def problems(text: str = "", environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(written(text), environ or {})
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


class TestShippedFiles:
    def test_the_complete_file_is_the_defaults(self) -> None:
        assert load_settings(CONFIG, {}) == Settings(labels=str(CONFIG.with_name("labels.toml")))

    def test_the_complete_file_has_every_setting_as_it_is(self) -> None:
        settings = plain(Settings())
        del settings["policy"]  # a table of its own for each: the file has one in comments
        assert dict(leaves(tomllib.loads(CONFIG.read_text("utf-8")))) == dict(leaves(settings))

    @pytest.mark.parametrize("name", ["maestro.toml", "labels.toml"])
    def test_it_is_the_one_of_the_package(self, name: str) -> None:
        assert (ROOT / "config" / name).samefile(ROOT / "maestro" / "defaults" / name)

    def test_every_key_has_a_comment_above_it_or_above_its_group(self) -> None:
        for block in CONFIG.read_text("utf-8").split("\n\n")[1:]:
            if not block.startswith("[platform."):
                assert block.startswith("#"), block

    def test_the_embedded_file(self) -> None:
        settings = load_settings(ROOT / "config" / "maestro.embedded.toml", {})
        assert settings.broker.kind == "embedded"
        assert settings.reprocessing == Settings().reprocessing


class TestTrace:
    def test_on_without_its_packages_is_a_problem(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("maestro.settings.model.find_spec", lambda _name: None)
        assert "pip install '.[trace]' in the folder of Maestro's sources" in problems("trace.enabled = true")[0]
        assert load_settings(written("trace.enabled = false"), {}).trace.enabled is False

    @pytest.mark.parametrize("endpoint", ["collector:4318", "http://user:secret@collector", "ftp://x"])
    def test_an_endpoint_is_a_url_without_credentials(self, endpoint: str) -> None:
        assert "trace.endpoint" in problems(f'trace.endpoint = "{endpoint}"')[0]


class TestNetworks:
    def test_who_names_himself_is_no_second_approver(self) -> None:
        text = '[access]\ntwo_approvers = ["sysA"]\napprover_networks = ["10.1.0.0/16"]'
        (line,) = problems(text)
        assert line.startswith("m.toml: access: callers of approver_networks name themselves")

    @pytest.mark.parametrize("name", ["platform_networks", "viewer_networks", "approver_networks"])
    def test_a_network_is_a_network(self, name: str) -> None:
        assert "must be a network" in problems(f'access.{name} = ["10.1.0.7/16"]')[0]


class TestFindFile:
    def test_none_is_the_defaults(self) -> None:
        assert find_file(None, {}) is None
        assert load_settings(None, {}) == Settings()

    def test_order(self) -> None:
        Path("config").mkdir()
        Path("config/maestro.toml").write_text("http.port = 1", "utf-8")
        assert load_settings(None, {}).http.port == 1
        Path("maestro.toml").write_text("http.port = 2", "utf-8")
        assert load_settings(None, {}).http.port == 2
        Path("named.toml").write_text("http.port = 3", "utf-8")
        assert load_settings(None, {"MAESTRO_CONFIG": "named.toml"}).http.port == 3
        assert load_settings(written("http.port = 4"), {"MAESTRO_CONFIG": "named.toml"}).http.port == 4

    @pytest.mark.parametrize("environ", [{}, {"MAESTRO_CONFIG": "other.toml"}])
    def test_a_named_file_must_exist(self, environ: dict[str, str]) -> None:
        with pytest.raises(SettingsError, match=r"^gone\.toml: cannot be read: No such file or directory$"):
            load_settings(Path("gone.toml"), environ)
        with pytest.raises(SettingsError, match=r"^gone\.toml"):
            load_settings(None, {"MAESTRO_CONFIG": "gone.toml"})

    def test_a_folder_and_no_utf8(self) -> None:
        Path("folder").mkdir()
        with pytest.raises(SettingsError, match="folder: cannot be read: Is a directory"):
            load_settings(Path("folder"), {})
        Path("latin").write_bytes(b"# caf\xe9")
        os.mkfifo("pipe")
        with pytest.raises(SettingsError, match="pipe: cannot be read: it is no regular file"):
            load_settings(None, {"MAESTRO_CONFIG": "pipe"})
        with pytest.raises(SettingsError, match="zero: cannot be read: it is no regular file"):
            load_settings(Path("/dev/zero"), {})
        assert load_settings(Path(os.devnull), {}) == load_settings(None, {})
        with pytest.raises(SettingsError, match="latin: cannot be read: is not UTF-8"):
            load_settings(Path("latin"), {})

    def test_a_byte_order_mark_is_read_over(self) -> None:
        Path("windows.toml").write_bytes("\ufeffhttp.port = 5".encode())
        assert load_settings(Path("windows.toml"), {}).http.port == 5


class TestPrecedence:
    def test_file_over_defaults_key_by_key(self) -> None:
        settings = load_settings(written('[platform.discovery]\nhost = "d"\n[http]\nretry_after = 9'), {})
        assert (settings.platform.discovery.host, settings.platform.discovery.port) == ("d", 8090)
        assert (settings.http.retry_after, settings.http.port) == (9, 6971)

    def test_platform_variables_over_file_and_maestro_over_all(self) -> None:
        file = written('[http]\nport = 1\n[platform.apicore]\nhost = "file"\nport = 2')
        environ = {"PORT": "3", "APICORE_HOST": "platform"}
        settings = load_settings(file, environ)
        assert (settings.http.port, settings.platform.apicore.url) == (3, "http://platform:2")
        settings = load_settings(file, environ | {"MAESTRO_HTTP__PORT": "4", "MAESTRO_PLATFORM__APICORE__HOST": "m"})
        assert (settings.http.port, settings.platform.apicore.url) == (4, "http://m:2")

    def test_all_siblings(self) -> None:
        names = {"APICORE": "apicore", "DISCOVERY": "discovery", "PROCESS_MEMORY": "process_memory",
                 "EVENT_MANAGER": "event_manager"}  # fmt: skip
        for name, field in names.items():
            environ = {f"{name}_SCHEME": "https", f"{name}_HOST": "h", f"{name}_PORT": "44"}
            assert getattr(load_settings(None, environ).platform, field).url == "https://h:44"

    def test_empty_variables_are_not_set(self) -> None:
        environ = {"PORT": "", "RABBITMQ_HOST": "", "APICORE_PORT": "", "MAESTRO_HTTP__PORT": "", "MAESTRO_CONFIG": "",
                   "AUTO_REPROCESSING_sysA": "", "MAESTRO_SYSTEMS": "", "MAESTRO_NONSENSE": ""}  # fmt: skip
        assert load_settings(None, environ) == Settings()

    def test_foreign_variables_do_not_matter(self) -> None:
        assert load_settings(None, {"PATH": "/bin", "HTTP__PORT": "1", "http_port": "2", "MAESTRO": "x"}) == Settings()

    @pytest.mark.parametrize("text", ["sysA,sysB", " sysA , sysB ,", '["sysA", "sysB"]'])
    def test_lists(self, text: str) -> None:
        environ = {"MAESTRO_SYSTEMS": text, "MAESTRO_REPROCESSING__AUTO_APPROVE": text}
        settings = load_settings(None, environ)
        assert settings.systems == settings.reprocessing.auto_approve == ("sysA", "sysB")

    def test_a_table_as_json(self) -> None:
        loaded = load(None, {"MAESTRO_HTTP": '{"port": 1, "host": "h"}', "MAESTRO_HTTP__HOST": "i"})
        assert (loaded.settings.http.port, loaded.settings.http.host) == (1, "i")
        assert (loaded.origins["http", "port"], loaded.origins["http", "host"]) == (
            "MAESTRO_HTTP",
            "MAESTRO_HTTP__HOST",
        )

    @pytest.mark.parametrize("key", all_keys(), ids=".".join)
    def test_every_setting_has_a_variable(self, key: tuple[str, ...]) -> None:
        value = dict(leaves(plain(Settings())))[key]
        text = ",".join(value) if isinstance(value, list) else str(value)
        assert load_settings(None, {variable(key): text}) == Settings()

    @examples(deadline=None)
    @given(st.dictionaries(st.sampled_from(["FILE", "PORT", "MAESTRO"]), st.integers(1, 65535)))
    def test_the_highest_source_wins(self, given_ports: dict[str, int]) -> None:
        file = written(f"http.port = {given_ports['FILE']}" if "FILE" in given_ports else "")
        environ = {name: str(port) for name, port in given_ports.items() if name == "PORT"}
        if "MAESTRO" in given_ports:
            environ["MAESTRO_HTTP__PORT"] = str(given_ports["MAESTRO"])
        wanted = next((given_ports[name] for name in ("MAESTRO", "PORT", "FILE") if name in given_ports), 6971)
        assert load_settings(file, environ).http.port == wanted


class TestBroker:
    def test_rabbitmq_variables(self) -> None:
        broker = load_settings(None, {"RABBITMQ_HOST": "mq"}).broker
        assert (broker.kind, broker.url.get_secret_value()) == (
            "rabbitmq",
            "amqp://guest:guest@mq:5672/plataforma_v1.0",
        )
        environ = {"RABBITMQ_HOST": "mq", "RABBITMQ_PORT": "5", "RABBITMQ_USERNAME": "a@b", "RABBITMQ_PASSWORD": "p/%:"}
        url = load_settings(None, environ).broker.url.get_secret_value()
        assert url == "amqp://a%40b:p%2F%25%3A@mq:5/plataforma_v1.0"

    def test_without_the_host_they_say_nothing(self) -> None:
        assert load_settings(None, {"RABBITMQ_PORT": "x", "RABBITMQ_PASSWORD": "p"}) == Settings()

    @pytest.mark.parametrize(("file", "environ", "kind"), [
        ('broker.url = "amqp://f"', {}, "rabbitmq"),
        ('broker = {url = "amqp://f", kind = "embedded"}', {}, "embedded"),
        ('broker.kind = "embedded"', {"MAESTRO_BROKER__URL": "amqp://e"}, "rabbitmq"),
        ('broker.kind = "embedded"', {"RABBITMQ_HOST": "e"}, "rabbitmq"),
        ('broker.kind = "rabbitmq"', {"RABBITMQ_HOST": "e"}, "rabbitmq"),
        ("", {"RABBITMQ_HOST": "e", "MAESTRO_BROKER__KIND": "embedded"}, "embedded"),
        ("", {"MAESTRO_BROKER__URL": "amqp://e", "MAESTRO_BROKER__KIND": "embedded"}, "embedded"),
        ('broker.url = "amqp://f"', {"MAESTRO_BROKER__KIND": "embedded"}, "embedded"),
        ('broker = {url = "amqp://f", kind = "embedded"}', {"MAESTRO_BROKER__KIND": "rabbitmq"}, "rabbitmq"),
    ])  # fmt: skip
    def test_a_url_means_rabbitmq_unless_something_says_otherwise(
        self, file: str, environ: dict[str, str], kind: str
    ) -> None:
        assert load_settings(written(file), environ).broker.kind == kind

    def test_rabbitmq_needs_a_url(self) -> None:
        assert problems('broker.kind = "rabbitmq"') == [
            'm.toml: broker.kind = "rabbitmq": needs broker.url, or RABBITMQ_HOST'
        ]
        assert problems("", {"MAESTRO_BROKER__KIND": "rabbitmq"})[0].startswith("MAESTRO_BROKER__KIND: broker.kind")


class TestAutoReprocessing:
    def test_it_adds(self) -> None:
        file = written('reprocessing.auto_approve = ["sysA"]')
        environ = {"AUTO_REPROCESSING_sysA": "1", "AUTO_REPROCESSING_2b0a-B": "x"}
        loaded = load(file, environ)
        assert loaded.settings.reprocessing.auto_approve == ("sysA", "2b0a-B")
        assert loaded.origins["reprocessing", "auto_approve"] == "m.toml, AUTO_REPROCESSING_2b0a-B"
        settings = load_settings(file, environ | {"MAESTRO_REPROCESSING__AUTO_APPROVE": "sysC"})
        assert settings.reprocessing.auto_approve == ("sysC", "sysA", "2b0a-B")

    def test_no_system_id(self) -> None:
        (line,) = problems("", {"AUTO_REPROCESSING_wait_x": "1", "AUTO_REPROCESSING_sysA": "1"})
        assert line.startswith("AUTO_REPROCESSING_wait_x: reprocessing.auto_approve.")
        assert "must not begin with one of wait_, error_" in line


class TestProblems:
    @pytest.mark.parametrize(("text", "line"), [
        ("http.port = 70000", "m.toml: http.port = 70000: must be less than or equal to 65535"),
        ('http.port = "6971"', "m.toml: http.port = '6971': must be a valid integer"),
        ("http.port = true", "m.toml: http.port = True: must be a valid integer"),
        ("platform.mirror_documents = 1", "m.toml: platform.mirror_documents = 1: must be a valid boolean"),
        ("broker.heartbeat = 1.5", "m.toml: broker.heartbeat = 1.5: must be a valid integer"),
        ("platform.backoff = 0", "m.toml: platform.backoff = 0: must be greater than 0"),
        ('broker.kind = "kafka"', "m.toml: broker.kind = 'kafka': must be 'embedded' or 'rabbitmq'"),
        ("http = 5", "m.toml: http = 5: must be a table"),
        ("http.port.x = 5", "m.toml: http.port = {'x': 5}: must be a valid integer"),
        ('systems = "sysA"', "m.toml: systems = 'sysA': must be a list"),
        ("systems = [1]", "m.toml: systems.0 = 1: must be a valid string"),
        ('systems = ["a.b"]', "m.toml: systems.0 = 'a.b': 'a.b': must be 1 to 128 of A-Z a-z 0-9 _ -"),
        (f"http.port = 1{'0' * 30}", "m.toml: http.port = 1000000000"),
        (f"systems = {'[' * 5000}", "m.toml: is no TOML: "),
        ("data_dir = 2020-01-01", "m.toml: data_dir = ['2020-01-01']: "),
        ("systems = [2020-01-01]", "m.toml: systems.0 = ['2020-01-01']: must be a valid string"),
        ("systems = {}", "m.toml: systems = {}: must be a list"),
        ("http.prot = 1", "m.toml: http.prot: unknown setting; did you mean http.port?"),
        ("htttp.port = 1", "m.toml: htttp: unknown setting; did you mean http?"),
        ("accesss.enabled = true", "m.toml: accesss: unknown setting; did you mean access?"),
        ('http.tls_cert = "c.pem"', "m.toml: http: tls_cert and tls_key: both or none"),
        ('access.oidc.issuer = "https://x"', "m.toml: access.oidc: an issuer needs an audience"),
        (
            'access.two_approvers = ["s"]\nreprocessing.auto_approve = ["s"]',
            "m.toml: access.two_approvers, reprocessing.auto_approve: s is in both: nobody would approve what runs",
        ),
        ('webhooks.urls = ["http://x"]', "m.toml: webhooks: urls need a secret of at least 16 characters"),
        ('webhooks.urls = ["http://a..b/x"]', "must have a host of which each part has 1 to 63 characters"),
        (f'notify.slack.url = "http://{"a" * 64}.org/x"', "must have a host of which each part has 1 to 63 characters"),
        ('notify.email.host = "a..b"', "must have a host of which each part has 1 to 63 characters"),
        ('platform.apicore.host = ".x"', "must have a host of which each part has 1 to 63 characters"),
        ("http.zzzzzzz = 1", "m.toml: http.zzzzzzz: unknown setting; here may stand: host, port, ask_timeout"),
        ('platform.domain_url = "http://{host}:{prot}"', "may hold {host} and {port}, and no other braces"),
        ('platform.domain_url = "{host}"', "must be an http:// or https:// URL with {host} in it"),
        ('platform.domain_url = "http://domain"', "must be an http:// or https:// URL with {host} in it"),
        ('platform.apicore.host = "http://x/"', "m.toml: platform.apicore.host = 'http://x/': "),
        ("platform.apicore.port = 0", "m.toml: platform.apicore.port = 0: must be greater than or equal to 1"),
        ("actors.replace_after = 1.9", "m.toml: actors.replace_after = 1.9: must be greater than or equal to 2"),
        ("platform.tries = nan", "m.toml: platform.tries = "),
        ("platform.backoff = inf", "m.toml: platform.backoff = "),
        ("a = 1\nb = = 2", "m.toml: is no TOML: Invalid value (at line 2, column 5)"),
    ])  # fmt: skip
    def test_in_a_file(self, text: str, line: str) -> None:
        (found,) = problems(text)
        assert line in found

    @pytest.mark.parametrize(("environ", "line"), [
        ({"MAESTRO_HTTP__PORT": "x"}, "MAESTRO_HTTP__PORT: http.port = 'x': must be a valid integer"),
        ({"PORT": "tcp://10.0.0.1:9"}, "PORT: http.port = 'tcp://10.0.0.1:9': must be a valid integer"),
        ({"APICORE_SCHEME": "ftp"}, "APICORE_SCHEME: platform.apicore.scheme = 'ftp': must be 'http' or 'https'"),
        ({"MAESTRO_HTTP__PROT": "1"}, "MAESTRO_HTTP__PROT: unknown setting; did you mean MAESTRO_HTTP__PORT?"),
        ({"MAESTRO_HTPP__PORT": "1"}, "MAESTRO_HTPP__PORT: unknown setting; did you mean MAESTRO_HTTP__PORT?"),
        ({"MAESTRO_HTTP_PORT": "1"}, "MAESTRO_HTTP_PORT: unknown setting; did you mean MAESTRO_HTTP__PORT?"),
        ({"MAESTRO_": "1"}, "MAESTRO_: unknown setting; settings are MAESTRO_<KEY> and MAESTRO_<TABLE>__<KEY>"),
        ({"MAESTRO_HTTP__PORT__X": "1"}, "MAESTRO_HTTP__PORT__X: http.port = {'x': '1'}: must be a valid integer"),
        ({"MAESTRO_HTTP": "nonsense"}, "MAESTRO_HTTP: http = ['nonsense']: must be a table"),
        ({"MAESTRO_HTTP": '{"prot": 1}'}, "MAESTRO_HTTP: http.prot: unknown setting; did you mean http.port?"),
        ({"MAESTRO_HTTP__TLS_KEY": "k.pem"}, "MAESTRO_HTTP__TLS_KEY: http: tls_cert and tls_key: both or none"),
        ({"MAESTRO_SYSTEMS": "["}, "MAESTRO_SYSTEMS: systems = '[': must be a list"),
        ({"MAESTRO_SYSTEMS": '{"a": 1}'}, "MAESTRO_SYSTEMS: systems"),
    ])  # fmt: skip
    def test_in_the_environment(self, environ: dict[str, str], line: str) -> None:
        (found,) = problems("", environ)
        assert line in found

    def test_all_at_once_in_order(self) -> None:
        lines = problems("http.port = 0.5\nlog.level = 'loud'", {"MAESTRO_X": "1", "PORT": "x"})
        assert [line.split(":")[0] for line in lines] == ["m.toml", "m.toml", "MAESTRO_X", "PORT"]

    def test_what_belongs_together_may_stand_apart(self, tmp_path: Path) -> None:
        file = tmp_path / "m.toml"
        file.write_text('webhooks.urls = ["http://x/"]\nhttp.tls_cert = "c.pem"')
        apart = {"MAESTRO_WEBHOOKS__SECRET": "s" * 16, "MAESTRO_HTTP__TLS_KEY": "k.pem"}
        settings = load_settings(file, apart)
        assert (settings.webhooks.urls, settings.http.tls_key) == (("http://x/",), "k.pem")

    def test_together_they_are_checked_whatever_else_is_wrong(self) -> None:
        lines = problems(f'http.port = 0.5\nwebhooks = {{ urls = ["http://x/"], secret = "{"s" * 16}" }}', {
            "MAESTRO_WEBHOOKS__SECRET": "hunter2",
        })  # fmt: skip
        assert lines == [
            "m.toml: http.port = 0.5: must be a valid integer",
            "m.toml, MAESTRO_WEBHOOKS__SECRET: webhooks: urls need a secret of at least 16 characters",
        ]

    def test_a_wrong_value_is_wrong_even_if_something_overrides_it(self) -> None:
        assert problems("http.port = 70000", {"PORT": "1"}) == [
            "m.toml: http.port = 70000: must be less than or equal to 65535"
        ]

    @pytest.mark.parametrize("environ", [
        {"MAESTRO_BROKER__URL": "http://user:hunter2@x"}, {"MAESTRO_BROKER__URL": "amqp://u:hunter2@x:port/"},
        {"RABBITMQ_HOST": "x", "RABBITMQ_PORT": "99999", "RABBITMQ_PASSWORD": "hunter2"},
        {"MAESTRO_BROKER__URL": '["hunter2"]'}, {"MAESTRO_BROKER": '{"url": {"x": "hunter2"}}'},
    ])  # fmt: skip
    def test_secrets_are_not_shown(self, environ: dict[str, str]) -> None:
        (line,) = problems("", environ)
        assert "broker.url = ***: " in line
        assert "hunter2" not in line

    def test_the_variables_of_a_built_url_are_named(self) -> None:
        environ = {"RABBITMQ_HOST": "x", "RABBITMQ_PORT": "0"}
        assert problems("", environ) == [
            "RABBITMQ_HOST, RABBITMQ_PORT: broker.url = ***: must have a port of 1 to 65535, or none"
        ]

    @given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=5) | st.lists(st.none()), max_size=3))
    def test_nothing_but_settings_error(self, values: dict[str, Any]) -> None:
        environ = {f"MAESTRO_{name}": str(value) for name, value in values.items()}
        environ |= {f"MAESTRO_HTTP__{name}": str(value) for name, value in values.items()}
        try:
            load_settings(None, environ)
        except SettingsError as problem:
            assert problem.problems  # noqa: PT017 - whether it is raised depends on what was drawn


class TestRender:
    def test_it_reads_back(self) -> None:
        loaded = load(written('data_dir = "/x y/\\u007f\\"é"\nsystems = ["a"]\n[http]\nport = 7'), {"PORT": "8"})
        text = as_toml(loaded)
        assert load_settings(written(text), {}) == loaded.settings
        assert "port = 8  # PORT\n" in text
        assert 'systems = ["a"]  # m.toml\n' in text
        assert re.search(r'^host = "127\.0\.0\.1"$', text, re.MULTILINE)

    def test_passwords_are_masked(self) -> None:
        text = as_toml(load(None, {"RABBITMQ_HOST": "mq", "RABBITMQ_USERNAME": "u", "RABBITMQ_PASSWORD": "hunter2"}))
        assert 'url = "amqp://u:***@mq:5672/plataforma_v1.0"  # RABBITMQ_HOST, RABBITMQ_USERNAME' in text
        assert "hunter2" not in text

    def test_the_paths_of_webhooks_are_masked(self) -> None:
        """Chat services put the secret into the path: who knows the URL may post there."""
        urls = "https://chat.example/hooks/T0/B0/s3cret?k=s3cret,http://127.0.0.1:9/s3cret"
        environ = {"MAESTRO_WEBHOOKS__URLS": urls, "MAESTRO_WEBHOOKS__SECRET": "0123456789abcdef"}
        text = as_toml(load(None, environ))
        assert 'urls = ["https://chat.example/…", "http://127.0.0.1:9/…"]' in text
        assert "s3cret" not in text
        environ["MAESTRO_WEBHOOKS__URLS"] = "htp://chat.example/s3cret"
        with pytest.raises(SettingsError) as refused:
            load(None, environ)
        assert "webhooks.urls" in str(refused.value)
        assert "s3cret" not in str(refused.value)

    @pytest.mark.parametrize(("url", "shown"), [
        ("", ""), ("amqp://h/v", "amqp://h/v"), ("amqp://u@h", "amqp://u@h"), ("amqp://u:p:q@h", "amqp://u:***@h"),
        ("amqp://:p@h", "amqp://:***@h"), ("amqp://u:p@q@h", "amqp://u:***@h"), ("amqp://u:p/q@h", "amqp://u:***@h"),
        ("amqp://u:p@one:1/v amqps://u:p@two:2/v", "amqp://u:***@one:1/v amqps://u:***@two:2/v"),
        ("amqp://u:p@one/v\tamqp://two/v amqp://w:p@q@three/v",
         "amqp://u:***@one/v\tamqp://two/v amqp://w:***@three/v"),
        ("postgresql://u@h/d?sslmode=require&password=p", "postgresql://u@h/d?sslmode=require&password=***"),
        ("postgresql://u:p@h/d?sslpassword=p&x=1", "postgresql://u:***@h/d?sslpassword=***&x=1"),
    ])  # fmt: skip
    def test_masked(self, url: str, shown: str) -> None:
        assert masked(url) == shown


class TestCluster:
    NODE = """
        store.url = "postgresql://u:p@localhost/d"
        broker.url = "amqp://u:p@one:5672/v amqps://u:p@two:5671/v"
        cluster.name = "grid"
    """

    def test_a_node(self) -> None:
        settings = load_settings(written(self.NODE), {})
        assert settings.broker.urls == ["amqp://u:p@one:5672/v", "amqps://u:p@two:5671/v"]
        assert settings.broker.heartbeat == 2
        assert settings.node_url == "http://127.0.0.1:6971"
        named = load_settings(written(self.NODE + 'cluster.url = "http://localhost:1/"\nbroker.heartbeat = 20'), {})
        assert (named.node_url, named.broker.heartbeat) == ("http://localhost:1", 20)
        assert load_settings(written(self.NODE.replace("grid", "")), {}).broker.heartbeat == 20

    @pytest.mark.parametrize(
        ("without", "more", "line"),
        [
            ("store.url", "", "store.url is needed with cluster.name: the nodes share their state in PostgreSQL"),
            ("broker.url", "", "broker.url is needed with cluster.name: the nodes share RabbitMQ"),
            ("", 'http.host = "0.0.0.0"', "cluster.url is needed with cluster.name: http.host names no address"),
            ("", 'cluster.url = "http://10.0.0.1:6971"', "nodes on several machines need a secret"),
            ("", "access.enabled = true", "cluster.secret is needed with cluster.name: access.enabled asks everybody"),
            ("", 'cluster.secret = "short"', "secret must have at least 16 characters"),
            ("", 'cluster.url = "ftp://10.0.0.1"', "must be an http:// or https:// URL"),
            ("", 'cluster.node = "a b"', "cluster.node = 'a b'"),
        ],
    )
    def test_what_is_missing_or_wrong_is_said(self, without: str, more: str, line: str) -> None:
        lines = [each for each in self.NODE.splitlines() if not without or without not in each]
        said = problems("\n".join([*lines, more]))
        assert line in said[0]

    def test_several_brokers_are_one_cluster(self) -> None:
        assert "the same vhost" in problems('broker.url = "amqp://u:p@one/a amqp://u:p@two/b"')[0]
        assert "must be amqp://" in problems('broker.url = "amqp://u:p@one/a two"')[0]


def test_models_refuse_what_the_loader_refuses() -> None:
    with pytest.raises(ValidationError):
        BrokerSettings.model_validate({"url": "http://x"})
    with pytest.raises(ValidationError):
        PlatformSettings(domain_url="{}")
